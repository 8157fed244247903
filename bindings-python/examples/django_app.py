"""A Django project in one file, with the blocking handles: `python django_app.py runserver`."""

from __future__ import annotations

import functools
import os
import sys
from typing import Callable

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from smalt import Smalt, SmaltError

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only-for-this-example"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"],
    ROOT_URLCONF=__name__,
)
django.setup()


@functools.cache
def _opened(process: int) -> Smalt:
    return Smalt.embedded(os.environ.get("STORE", "smalt.db"), project=os.environ.get("PROJECT", "smalt.toml"))


def smalt() -> Smalt:
    """One engine per process: servers that fork after loading the application get one each."""
    return _opened(os.getpid())


def user(request: HttpRequest) -> str:
    """Who is logged in. Yours: `request.user`; here a header says so."""
    return str(request.META.get("HTTP_X_USER", ""))


def answers_errors(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @functools.wraps(view)
    def wrapped(request: HttpRequest, **arguments: str) -> HttpResponse:
        try:
            return view(request, **arguments)
        except SmaltError as error:
            return JsonResponse({"code": error.code, "message": error.reason}, status=error.http_status or 500)

    return wrapped


@answers_errors
def connect(request: HttpRequest, application: str) -> HttpResponse:
    account = smalt().account(user(request))
    account.ensure()
    started = account.start_connect(application)
    response = HttpResponse(status=302, headers={"location": started.authorize_url})
    response.set_cookie(
        started.cookie.name, started.cookie.value.reveal(), max_age=started.cookie.max_age, secure=True, httponly=True, samesite="Lax"
    )
    return response


@answers_errors
def callback(request: HttpRequest, application: str) -> HttpResponse:
    account = smalt().account(user(request))
    connection = account.finish_connect(request.get_full_path(), cookie=request.META.get("HTTP_COOKIE", ""))
    return JsonResponse({"connection": connection.id})


@answers_errors
def items(request: HttpRequest, application: str) -> HttpResponse:
    answer = smalt().account(user(request)).request(application, "GET", "items")
    return JsonResponse(answer.json(), status=answer.status)


urlpatterns = [
    path("connect/<application>", connect),
    path("api/v1/<application>/callback", callback),
    path("items/<application>", items),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
