"""Deliveries are checked as core checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time

import pytest

from smalt import Secret, SmaltError
from smalt.webhooks import verify


def test_a_delivery_is_checked() -> None:
    key = os.urandom(32)
    secret = "whsec_" + base64.b64encode(key).decode()
    body = b'{"type": "connection.created"}'
    now = str(int(time.time()))
    signature = base64.b64encode(hmac.new(key, f"id-1.{now}.".encode() + body, hashlib.sha256).digest()).decode()
    headers = {"Webhook-Id": "id-1", "Webhook-Timestamp": now, "Webhook-Signature": f"v1,{signature}"}
    verified = verify(headers, body, [Secret(secret)])
    assert verified.id == "id-1" and int(verified.sent_at.timestamp()) == int(now)
    for changed, sent in ((b"x", headers), (body, {**headers, "Webhook-Timestamp": "1"}), (body, {"Webhook-Id": "id-1"})):
        with pytest.raises(SmaltError) as raised:
            verify(sent, changed, secret)
        assert raised.value.code == "webhook_unverified" and secret not in str(raised.value)
