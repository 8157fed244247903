use std::{io::Write, sync::Arc};

use async_trait::async_trait;

use crate::plugin::{Fault, PresentRequest, Presenter};

/// Hands the authorize URL to people, who open it where they like: for machines without a browser of their own.
#[derive(Clone)]
pub struct PrintUrl(Arc<dyn Fn(&PresentRequest) + Send + Sync>);

impl PrintUrl {
    /// Calls this with every request. It must not block.
    pub fn new(show: impl Fn(&PresentRequest) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Writes two lines to the standard error output; in the device flow a third one with the code.
    pub fn to_stderr() -> Self {
        Self::new(|request| {
            // Nobody reads a closed stderr; that is no failure of the flow.
            let _ = match &request.device {
                Some(device) => writeln!(
                    std::io::stderr(),
                    "To connect {}, open this page on any device:\n{}\nand enter the code {}",
                    request.application,
                    device.verification_uri,
                    device.user_code
                ),
                None => writeln!(std::io::stderr(), "To connect {}, open this page:\n{}", request.application, request.authorize_url),
            };
        })
    }
}

impl Default for PrintUrl {
    fn default() -> Self {
        Self::to_stderr()
    }
}

#[async_trait]
impl Presenter for PrintUrl {
    fn name(&self) -> &str {
        "print-url"
    }

    async fn present(&self, request: PresentRequest) -> Result<Option<String>, Fault> {
        (self.0)(&request);
        Ok(None)
    }
}
