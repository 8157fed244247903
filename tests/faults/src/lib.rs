//! A bad network between a client and a real server: see `README.md` beside this folder. [`open`] puts a listener for each case of `cases.json` between
//! whoever runs the case and the server, and damages what it is told to.

mod cases;
mod door;
mod fault;
mod place;
mod upstream;
mod wire;

use std::sync::Arc;

pub use cases::{Case, Client, LEAST, cases};
pub use place::Place;
use tokio::sync::OnceCell;
use upstream::Upstream;

/// What goes wrong while the servers start.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Opens a place for each case with `chosen` in its id. They end with the runtime.
///
/// # Errors
/// What the data lacks, and what the system refuses.
pub async fn open(chosen: &str) -> Result<Vec<Arc<Place>>, Problem> {
    let common: OnceCell<Arc<Upstream>> = OnceCell::new();
    let mut places = Vec::new();
    for case in cases()?.into_iter().filter(|case| case.id.contains(chosen)) {
        let upstream = match case.own_server {
            true => Upstream::start().await?,
            false => common.get_or_try_init(Upstream::start).await?.clone(),
        };
        places.push(Place::open(case, upstream).await?);
    }
    Ok(places)
}
