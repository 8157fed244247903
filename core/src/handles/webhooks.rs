use super::Smalt;
use crate::{
    Result,
    backend::{GetWebhook, ListDeliveries, ListWebhooks, Redeliver, RotateWebhookSecret, UpdateWebhook, WebhookSettings},
    model::{Delivery, NewWebhook, Page, Webhook},
};

/// Webhooks: the organisation's own servers are told what happens. An engine that was opened with
/// [`deliver_webhooks`](super::SmaltBuilder::deliver_webhooks) sends them; [`crate::webhook::verify`] checks what arrives.
impl Smalt {
    /// Makes a webhook, which needs `url` and `events`. Its secret is shown this once.
    ///
    /// # Errors
    /// `invalid_request`; `address_refused` for a URL that is not https or leads to a private address.
    pub async fn create_webhook(&self, settings: WebhookSettings) -> Result<NewWebhook> {
        self.backend().create_webhook(&self.caller, settings).await
    }

    /// The webhooks, oldest first, without their secrets.
    ///
    /// # Errors
    /// `closed`.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>> {
        self.backend().list_webhooks(&self.caller, ListWebhooks {}).await
    }

    /// Changes a webhook; absent settings stay.
    ///
    /// # Errors
    /// `webhook_not_found`, and as [`Self::create_webhook`].
    pub async fn update_webhook(&self, id: impl Into<String>, settings: WebhookSettings) -> Result<Webhook> {
        self.backend().update_webhook(&self.caller, UpdateWebhook { webhook: id.into(), settings }).await
    }

    /// Deletes a webhook with its deliveries.
    ///
    /// # Errors
    /// `webhook_not_found`.
    pub async fn delete_webhook(&self, id: impl Into<String>) -> Result<()> {
        self.backend().delete_webhook(&self.caller, GetWebhook { webhook: id.into() }).await
    }

    /// Replaces a webhook's secret, which is shown this once. The replaced one signs on beside it for the request's overlap.
    ///
    /// # Errors
    /// `webhook_not_found`.
    pub async fn rotate_webhook_secret(&self, request: RotateWebhookSecret) -> Result<NewWebhook> {
        self.backend().rotate_webhook_secret(&self.caller, request).await
    }

    /// What was and is to be sent to a webhook, newest first.
    ///
    /// # Errors
    /// `webhook_not_found`, `invalid_cursor`.
    pub async fn deliveries(&self, request: ListDeliveries) -> Result<Page<Delivery>> {
        self.backend().list_deliveries(&self.caller, request).await
    }

    /// Sends a delivery again, under its own id.
    ///
    /// # Errors
    /// `delivery_not_found`; `invalid_request` while its webhook is disabled.
    pub async fn redeliver(&self, delivery: impl Into<String>) -> Result<Delivery> {
        self.backend().redeliver(&self.caller, Redeliver { delivery: delivery.into() }).await
    }
}
