use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    error::err,
    model::FieldOption,
    plugin::{Connector, ConnectorContext, Fault, OptionsRequest},
};

/// What the sandbox applications do as code: the choices of fields whose `options_from` is `channels`.
pub struct SandboxConnector(&'static str);

impl SandboxConnector {
    /// One for each sandbox application; registered unless the host brings its own.
    pub(crate) fn all() -> [Arc<dyn Connector>; 2] {
        ["sandbox-oauth", "sandbox-key"].map(|slug| Arc::new(Self(slug)) as Arc<dyn Connector>)
    }
}

#[async_trait]
impl Connector for SandboxConnector {
    fn slug(&self) -> &str {
        self.0
    }

    async fn options(&self, ctx: ConnectorContext, request: OptionsRequest) -> Result<Option<Vec<FieldOption>>, Fault> {
        if request.source != "channels" {
            return Ok(None);
        }
        let mut call = ctx.request("GET", "channels")?;
        if let Some(search) = &request.search {
            call.url.query_pairs_mut().append_pair("search", search);
        }
        let answer = ctx.send(call).await?;
        let unreadable = || err!(MalformedAnswer, "the sandbox answered no list of channels");
        let body = answer.json().ok_or_else(unreadable)?;
        let items = body["items"].as_array().ok_or_else(unreadable)?;
        Ok(Some(
            items
                .iter()
                .map(|item| FieldOption { name: item["name"].as_str().map(ToOwned::to_owned), value: item["id"].clone() })
                .collect(),
        ))
    }
}
