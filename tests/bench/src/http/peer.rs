//! The peer: axum routes that do the same work by hand. The same checks of tokens and keys, the same rows by a pool of reading
//! threads with a connection each, the same sealing, the same bytes out; writes in groups by one thread.

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path as InPath, State},
    routing::{get, post},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Response, StatusCode};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use smalt::{
    Smalt,
    manifest::Catalog,
    model::{Environment, Tenant},
    plugin::{Store, SystemClock},
    store::{SqliteStore, StoreOptions},
    vault::{Aad, LocalKey, Vault},
    wire,
};
use tokio::sync::oneshot;

use super::ours::APP;

const GROUP: usize = 64;
const LIFE: i64 = 86_400;

/// A thread pool that reads, with a connection each.
#[derive(Clone)]
struct Readers(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce(&Connection) + Send>;

impl Readers {
    fn new(path: &Path, threads: usize) -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..threads {
            let (inbox, db) = (inbox.clone(), open(path));
            std::thread::spawn(move || {
                loop {
                    let job = inbox.lock().unwrap().recv();
                    let Ok(job) = job else { return };
                    job(&db);
                }
            });
        }
        Self(jobs)
    }

    /// On one snapshot.
    async fn read<T: Send + 'static>(&self, job: impl FnOnce(&Connection) -> T + Send + 'static) -> T {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            db.prepare_cached("BEGIN DEFERRED").unwrap().execute([]).unwrap();
            let found = job(db);
            db.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
            let _ = answer.send(found);
        });
        self.0.send(job).unwrap();
        answered.await.unwrap()
    }
}

fn open(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
    )
    .unwrap();
    db
}

/// A session to be written, answered when it is durable; false: no such account.
struct NewSession {
    id: String,
    account: String,
    issued_at: i64,
    answer: oneshot::Sender<bool>,
}

fn writer(path: &Path) -> mpsc::Sender<NewSession> {
    let mut db = open(path);
    let (jobs, inbox) = mpsc::channel::<NewSession>();
    std::thread::spawn(move || {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            let until = Instant::now() + Duration::from_millis(1);
            while group.len() < GROUP
                && let Ok(more) = inbox.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                group.push(more);
            }
            let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
            let mut made = Vec::new();
            for one in &group {
                let sql = "SELECT 1 FROM accounts WHERE org = 'default' AND environment = 0 AND id = ?1";
                let known = tx.prepare_cached(sql).unwrap().exists([&one.account]).unwrap();
                if known {
                    let sql = "INSERT INTO sessions (org, environment, id, account_id, kid, issued_at, expires_at, revoked_at)
                               VALUES ('default', 0, ?1, ?2, 'peer', ?3, ?4, NULL)";
                    let (from, to) = (one.issued_at * 1000, (one.issued_at + LIFE) * 1000);
                    tx.prepare_cached(sql).unwrap().execute((&one.id, &one.account, from, to)).unwrap();
                }
                made.push(known);
            }
            tx.commit().unwrap();
            for (one, known) in group.into_iter().zip(made) {
                let _ = one.answer.send(known);
            }
        }
    });
    jobs
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    org_id: String,
    linked_account_id: String,
    environment: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

struct Peer {
    readers: Readers,
    writer: mpsc::Sender<NewSession>,
    vault: Vault,
    key: Vec<u8>,
    header: String,
    /// What the manifest says of the application.
    app: wire::Application,
}

/// The key that the peer signs with; the parent makes tokens for its sessions.
pub const KEY: &[u8; 32] = b"the key of the peer, 32 bytes...";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn header() -> String {
    Base64UrlUnpadded::encode_string(br#"{"alg":"HS256","typ":"JWT","kid":"peer"}"#)
}

/// A token of the peer's.
pub fn mint(key: &[u8], header: &str, account: &str, session: &str, issued: i64) -> String {
    let own = |text: &str| text.to_owned();
    let claims = Claims {
        iss: own("smalt"),
        aud: own("session"),
        org_id: own("default"),
        linked_account_id: own(account),
        environment: own("test"),
        jti: own(session),
        iat: issued,
        nbf: issued,
        exp: issued + LIFE,
    };
    let signed = format!("{header}.{}", Base64UrlUnpadded::encode_string(&serde_json::to_vec(&claims).unwrap()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes()))
}

/// For the parent.
pub fn token(account: &str, session: &str) -> String {
    mint(KEY, &header(), account, session, now())
}

impl Peer {
    /// Session and account of a token, before its row is read.
    fn verify(&self, headers: &HeaderMap) -> Option<(String, String)> {
        let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if header != self.header {
            return None;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).unwrap();
        mac.update(signed.as_bytes());
        mac.verify_slice(&Base64UrlUnpadded::decode_vec(signature).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()?;
        let ours = claims.iss == "smalt" && claims.aud == "session" && claims.org_id == "default" && claims.environment == "test";
        (ours && claims.nbf <= now() + 30 && now() <= claims.exp + 30).then_some((claims.jti, claims.linked_account_id))
    }
}

/// The hash under which an API key stands.
fn hash_of(headers: &HeaderMap) -> Option<String> {
    let key = headers.get("x-api-key")?.to_str().ok()?;
    key.starts_with("tk").then(|| Base64UrlUnpadded::encode_string(&Sha256::digest(key.as_bytes())))
}

fn is_good_key(db: &Connection, hash: &str) -> bool {
    let sql = "SELECT id, revoked_at FROM api_keys WHERE org = 'default' AND environment = 0 AND hash = ?1";
    let row = db.prepare_cached(sql).unwrap().query_row([hash], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)));
    matches!(row.optional().unwrap(), Some((_, None)))
}

fn answer(status: StatusCode, body: impl Serialize) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .header("cache-control", "no-store")
        .body(Body::from(serde_json::to_vec(&body).unwrap()))
        .unwrap()
}

fn refused() -> Response<Body> {
    answer(StatusCode::UNAUTHORIZED, json!({"message": "Unauthorized"}))
}

async fn application(State(peer): State<Arc<Peer>>, InPath(slug): InPath<String>, headers: HeaderMap) -> Response<Body> {
    let Some((session, account)) = peer.verify(&headers) else { return refused() };
    if slug != APP {
        return answer(StatusCode::NOT_FOUND, json!({"message": "Not found"}));
    }
    let read = peer.readers.read(move |db| {
        let sql = "SELECT account_id, revoked_at FROM sessions WHERE org = 'default' AND environment = 0 AND id = ?1";
        let row = db.prepare_cached(sql).unwrap().query_row([&session], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)));
        if row.optional().unwrap() != Some((account.clone(), None)) {
            return None;
        }
        let sql = "SELECT id, name, properties_json, created_at, updated_at FROM accounts WHERE org = 'default' AND environment = 0 AND id = ?1";
        db.prepare_cached(sql).unwrap().query_row([&account], |row| row.get::<_, String>(0)).optional().unwrap()?;
        let sql = "SELECT id, auth_type, status, identity_id, identity_label, connected_at FROM connections
                   WHERE org = 'default' AND environment = 0 AND account_id = ?1 AND application = ?2 ORDER BY is_default DESC, created_at, id";
        let mut statement = db.prepare_cached(sql).unwrap();
        let rows = statement.query_map((&account, &slug), |row| {
            let text = |at: usize| row.get::<_, String>(at);
            let label: Option<String> = row.get(4)?;
            Ok(wire::ConnectedAccount {
                connection_id: text(0)?,
                auth_type: smalt::model::AuthType::parse(&text(1)?).unwrap(),
                status: smalt::model::ConnectionStatus::parse(&text(2)?).unwrap(),
                identifier: label.or(row.get(3)?).unwrap_or_else(|| "NA".to_owned()),
                connected_at: smalt::Timestamp::from_millis(row.get(5)?),
            })
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        let sql = "SELECT rejected_at FROM clients WHERE org = 'default' AND environment = 0 AND application = ?1";
        let mut statement = db.prepare_cached(sql).unwrap();
        let clients = statement.query_map([&slug], |row| row.get::<_, Option<i64>>(0)).unwrap();
        assert!(clients.map(Result::unwrap).all(|rejected| rejected.is_none()));
        Some(rows)
    });
    let Some(rows) = read.await else { return refused() };
    let app = wire::Application { connected: !rows.is_empty(), connected_accounts: rows, ..peer.app.clone() };
    answer(StatusCode::OK, app)
}

#[derive(Deserialize)]
struct Asked {
    account: String,
    application: String,
}

async fn credential(State(peer): State<Arc<Peer>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let (Some(hash), Ok(asked)) = (hash_of(&headers), serde_json::from_slice::<Asked>(&body)) else { return refused() };
    let account = asked.account.clone();
    let read = peer.readers.read(move |db| {
        if !is_good_key(db, &hash) {
            return None;
        }
        let sql = "SELECT id, sealed, secret_version, scopes_json, properties_json, expires_at, auth_type FROM connections
                   WHERE org = 'default' AND environment = 0 AND account_id = ?1 AND application = ?2
                   ORDER BY is_default DESC, created_at, id LIMIT 1";
        let row = db.prepare_cached(sql).unwrap().query_row((&asked.account, &asked.application), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, Option<i64>>(5)?,
                row.get::<_, String>(6)?,
            ))
        });
        row.optional().unwrap().map(|row| (row, asked.application))
    });
    let Some(((id, sealed, version, scopes, properties, ends, auth_type), application)) = read.await else { return refused() };
    let tenant = Tenant { org: "default".into(), environment: Environment::Test };
    let aad = Aad::new(&tenant, "connections").part(&account).part(&application).part(&id).part("grant").version(version);
    let grant: Value = peer.vault.open_json(&aad, &sealed).unwrap();
    let scopes: Vec<String> = serde_json::from_str(&scopes).unwrap();
    let properties: Value = serde_json::from_str(&properties).unwrap();
    let body = json!({
        "connection_id": id, "application": application, "auth_type": auth_type, "access_token": grant["access_token"],
        "token_type": grant["token_type"], "expires_at": ends.map(smalt::Timestamp::from_millis), "scopes": scopes,
        "values": grant["values"], "properties": properties
    });
    answer(StatusCode::OK, body)
}

#[derive(Deserialize)]
struct ForAccount {
    linked_account_id: String,
}

async fn session(State(peer): State<Arc<Peer>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let (Some(hash), Ok(asked)) = (hash_of(&headers), serde_json::from_slice::<ForAccount>(&body)) else { return refused() };
    if !peer.readers.read(move |db| is_good_key(db, &hash)).await {
        return refused();
    }
    let mut random = [0_u8; 12];
    getrandom::fill(&mut random).unwrap();
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let (issued_at, account) = (now(), asked.linked_account_id);
    let (answered, done) = oneshot::channel();
    peer.writer.send(NewSession { id: id.clone(), account: account.clone(), issued_at, answer: answered }).unwrap();
    if !done.await.unwrap() {
        return answer(StatusCode::BAD_REQUEST, json!({"message": "No such account"}));
    }
    let token = mint(&peer.key, &peer.header, &account, &id, issued_at);
    answer(StatusCode::OK, json!({"token": token, "refresh_token": "", "expires_in": LIFE, "refresh_expires_in": 0}))
}

pub async fn serve(folder: &str) {
    let folder = Path::new(folder);
    let db = folder.join("smalt.db");
    let keys = LocalKey::from_file(folder.join("key")).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&db, StoreOptions::default()).unwrap());
    let vault = Vault::unlock(store.clone(), Arc::new(keys), "default", Arc::new(SystemClock::default())).await.unwrap();
    store.close().await;
    let peer = Peer {
        readers: Readers::new(&db, StoreOptions::default().readers),
        writer: writer(&db),
        vault,
        key: KEY.to_vec(),
        header: header(),
        app: described(folder).await,
    };
    let router = Router::new()
        .route("/api/v2/f-sdk/application/{slug}", get(application))
        .route("/smalt/v1/credential", post(credential))
        .route("/api/v2/public/session-token", post(session))
        .with_state(Arc::new(peer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The application without connections, once, as the engine describes it.
async fn described(folder: &Path) -> wire::Application {
    assert!(Catalog::builtin().has(APP));
    let smalt = Smalt::in_memory()
        .keys(LocalKey::generate().unwrap())
        .project_value(super::ours::project(folder, super::ours::NOWHERE, super::Sort::Usual))
        .open()
        .await
        .unwrap();
    smalt.account("a").ensure().await.unwrap();
    let app = smalt.account("a").app(APP).await.unwrap();
    smalt.close().await;
    wire::Application::new(&app, app.brand.icon.clone())
}
