//! A case in a server's process: the API over TCP, as `smalt serve` mounts it, with an engine and a sandbox of its own. What
//! the API does not offer (the clock, host code, another engine on the same store) the process is told line by line.

use std::{
    io::BufRead,
    path::Path,
    sync::{Arc, Mutex, RwLock},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use smalt::{
    Code, Error, Smalt,
    backend::Caller,
    model::{Environment, Json, JsonMap},
};
use smalt_server::{Api, ApiOptions, Limits, Server};
use smalt_tests::child::{Role, report};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    case::Case,
    verbs::{Failure, perform},
    world::{Embedded, World},
};

/// One order to the process.
#[derive(Serialize, Deserialize)]
struct Order {
    verb: String,
    /// A session's token; absent: the organisation.
    token: Option<String>,
    args: JsonMap,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
enum Done {
    Answer(Json),
    Refused { code: String, reason: String },
    Mistake(String),
}

/// Where the process serves.
#[derive(Serialize, Deserialize)]
struct Place {
    url: String,
    key: String,
    sandbox: String,
}

/// The server's process, as the driver sees it.
pub struct Served {
    pub sandbox: String,
    process: Arc<Mutex<Option<Role>>>,
    key: String,
    smalt: RwLock<Smalt>,
}

fn remote(url: &str, key: &str) -> Result<Smalt, String> {
    Smalt::remote(url).api_key(key).no_proxy().open().map_err(|error| error.to_string())
}

impl Served {
    pub async fn start(case: &Case) -> Result<Served, String> {
        let role = case.id.clone();
        let started = tokio::task::spawn_blocking(move || {
            let mut process = Role::start("plays_the_server", &role, &[]);
            let line = process.line();
            (process, line)
        });
        let (process, line) = started.await.map_err(|error| error.to_string())?;
        let place: Result<Place, String> =
            serde_json::from_str(&line.ok_or("the server ended")?).map_err(|error| format!("what the server said: {error}"))?;
        let place = place?;
        Ok(Served {
            smalt: RwLock::new(remote(&place.url, &place.key)?),
            sandbox: place.sandbox,
            key: place.key,
            process: Arc::new(Mutex::new(Some(process))),
        })
    }

    pub fn smalt(&self) -> Smalt {
        self.smalt.read().unwrap().clone()
    }

    /// Does a verb in the server's process.
    pub async fn order(&self, verb: &str, caller: Option<&Caller>, args: JsonMap) -> Result<Json, Failure> {
        let token = match caller {
            Some(Caller::Session(token)) => Some(token.expose().to_owned()),
            _ => None,
        };
        let order = serde_json::to_string(&Order { verb: verb.to_owned(), token, args }).map_err(|error| error.to_string())?;
        let process = self.process.clone();
        let said = tokio::task::spawn_blocking(move || {
            let mut process = process.lock().unwrap();
            let process = process.as_mut()?;
            process.say(&order);
            process.line()
        });
        let said = said.await.map_err(|error| error.to_string())?.ok_or("the server ended".to_owned())?;
        let done: Done = serde_json::from_str(&said).map_err(|error| format!("what the server said: {error}"))?;
        match done {
            Done::Mistake(mistake) => Err(Failure::Case(mistake)),
            Done::Refused { code, reason } => match Code::parse(&code) {
                Some(code) => Err(Error::new(code, reason).into()),
                None => Err(Failure::Case(format!("there is no code `{code}`"))),
            },
            Done::Answer(answer) => {
                if verb == "restart" {
                    let url = answer["url"].as_str().unwrap_or_default();
                    *self.smalt.write().unwrap() = remote(url, &self.key)?;
                }
                Ok(if verb == "restart" { json!({}) } else { answer })
            }
        }
    }

    pub async fn close(&self) {
        let process = self.process.lock().unwrap().take();
        if let Some(process) = process {
            let _ = tokio::task::spawn_blocking(move || process.end()).await;
        }
    }
}

/// The server in its process: says where it is, then does what it is told until its input ends.
pub fn play(room: &Path, case: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let case = Case::read(&room.join("cases").join(format!("{case}.json")));
        let standard: Json = serde_json::from_str(&std::fs::read_to_string(room.join("project.json")).unwrap()).unwrap();
        let opened = open(&case, &standard).await;
        let (world, key, mut running) = match opened {
            Ok((world, key, running)) => {
                let place = Place { url: running.url.clone(), key: key.clone(), sandbox: world.sandbox() };
                report(&serde_json::to_string(&Ok::<_, String>(place)).unwrap());
                (world, key, running)
            }
            Err(mistake) => return report(&serde_json::to_string(&Err::<Place, _>(mistake)).unwrap()),
        };
        let _ = key;
        let environment = case.environment.unwrap_or(Environment::Test);
        let (said, mut orders) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        while let Some(line) = orders.recv().await {
            let order: Order = serde_json::from_str(&line).unwrap();
            let again = order.verb == "restart";
            if again {
                running.end().await;
                running = Running::placeholder();
            }
            let caller = order.token.map_or_else(crate::verbs::organisation, |token| Caller::Session(token.into()));
            let mut done = match perform(&world, &order.verb, Some(caller), order.args).await {
                Ok(answer) => Done::Answer(answer),
                Err(Failure::Case(mistake)) => Done::Mistake(mistake),
                Err(Failure::Smalt(error)) => Done::Refused { code: error.code().as_str().to_owned(), reason: error.reason().to_owned() },
            };
            if again {
                match Running::start(world.smalt(), environment).await {
                    Ok(started) => {
                        done = Done::Answer(json!({"url": started.url}));
                        running = started;
                    }
                    Err(mistake) => done = Done::Mistake(mistake),
                }
            }
            report(&serde_json::to_string(&done).unwrap());
        }
        running.end().await;
        world.close().await;
    });
}

async fn open(case: &Case, standard: &Json) -> Result<(World, String, Running), String> {
    let world = World::Embedded(Embedded::open(case, standard).await?);
    let smalt = world.smalt();
    let key = smalt.create_api_key("conformance").await.map_err(|error| error.to_string())?;
    let running = Running::start(smalt, case.environment.unwrap_or(Environment::Test)).await?;
    Ok((world, key.key.expose().to_owned(), running))
}

/// The accept loop of one server.
struct Running {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    fn placeholder() -> Running {
        Running { url: String::new(), stop: None, serving: None }
    }

    async fn start(smalt: Smalt, environment: Environment) -> Result<Running, String> {
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).await.map_err(|error| error.to_string())?;
        let url = format!("http://{}", server.address().map_err(|error| error.to_string())?);
        let api = Api::new([(environment, smalt)], ApiOptions::default());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            server
                .serve(api, async move {
                    let _ = stopped.await;
                })
                .await;
        });
        Ok(Running { url, stop: Some(stop), serving: Some(serving) })
    }

    async fn end(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.await;
        }
    }
}
