//! The OpenAPI document, read as a stranger reads it: which endpoints there are, and who may call them. The matrices of S-29 and S-35 are
//! made of that. Beside it stands a table, first filled from the routes: it guards against drift of the document, and proves nothing about
//! the hosted service's contract (the golden pairs do).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use smalt::{
    model::Json,
    operations::{Operation, Scope},
};
use smalt_server::Access::{self, Account, Backend, Organisation, Own, Public, Session};

use crate::world::World;

/// Method, path, who may call it.
pub const ENDPOINTS: &[(&str, &str, Access)] = &[
    ("GET", "/healthz", Public),
    ("GET", "/readyz", Public),
    ("POST", "/api/v2/public/linked-account", Organisation),
    ("PUT", "/api/v2/public/linked-account", Own),
    ("GET", "/api/v2/public/linked-account", Organisation),
    ("GET", "/api/v2/public/linked-account/{id}", Own),
    ("DELETE", "/api/v2/public/linked-account/{id}", Organisation),
    ("GET", "/api/v2/public/session/active-linked-account", Session),
    ("POST", "/api/v2/public/session-token", Organisation),
    ("POST", "/api/v2/public/session-token/revoke", Session),
    ("GET", "/api/v2/f-sdk/application", Account),
    ("GET", "/api/v2/f-sdk/application/{slug}", Account),
    ("GET", "/api/v2/public/application", Account),
    ("GET", "/api/v2/public/application/{slug}", Account),
    ("GET", "/api/v2/public/auth-structure/{slug}", Public),
    ("GET", "/api/v1/{slug}/integrate", Account),
    ("GET", "/api/v2/public/linked-account/integration/oauth-url/{slug}", Account),
    ("GET", "/api/v1/{slug}/callback", Public),
    ("POST", "/api/v1/{slug}/callback", Public),
    ("GET", "/connect/go/{ticket}", Public),
    ("POST", "/connect/go/{ticket}", Public),
    ("GET", "/connect/done", Public),
    ("POST", "/api/v2/app/{slug}/save", Account),
    ("PUT", "/api/v2/public/linked-account/integration/save-key-credentials/{slug}", Account),
    ("PUT", "/api/v2/public/migrate-token", Backend),
    ("DELETE", "/api/v1/linked-acc/integration/{slug}", Account),
    ("DELETE", "/api/v2/public/linked-account/integration/{slug}", Account),
    ("PUT", "/api/v2/public/linked-account/default-app/auth-credentials/{key}", Account),
    ("DELETE", "/api/v2/public/linked-account/default-app/auth-credentials/{key}", Account),
    ("GET", "/api/v2/public/workflow", Own),
    ("POST", "/api/v2/public/workflow", Account),
    ("GET", "/api/v2/public/workflow/enabled", Account),
    ("GET", "/api/v2/public/workflow/request-structure/{id}", Account),
    ("GET", "/api/v2/public/workflow/versions/{id}", Account),
    ("GET", "/api/v2/public/workflow/{id}", Account),
    ("DELETE", "/api/v2/public/workflow/{id}", Account),
    ("GET", "/api/v2/public/workflow/{id}/edit", Account),
    ("PUT", "/api/v2/public/workflow/{id}/publish", Account),
    ("POST", "/api/v2/public/workflow/{id}/execute", Account),
    ("POST", "/api/v1/workflow/{id}/execute", Backend),
    ("GET", "/api/v2/public/execution", Account),
    ("GET", "/api/v2/public/execution/{id}", Account),
    ("GET", "/api/v2/public/slug/{slug}/auth-config", Account),
    ("GET", "/api/v2/public/webhook", Organisation),
    ("POST", "/api/v2/public/webhook", Organisation),
    ("DELETE", "/api/v2/public/webhook", Organisation),
    ("POST", "/api/v2/public/webhook/subscribe", Organisation),
    ("POST", "/api/v2/public/webhook/unsubscribe", Organisation),
    ("GET", "/api/v2/public/webhook/{id}", Organisation),
    ("PUT", "/api/v2/public/webhook/{id}", Organisation),
    ("DELETE", "/api/v2/public/webhook/{id}", Organisation),
    ("PUT", "/api/v2/public/webhooks/group/edit", Organisation),
    ("GET", "/smalt/v1/capabilities", Public),
    ("GET", "/smalt/v1/openapi.json", Public),
    ("GET", "/smalt/v1/openapi", Public),
    ("GET", "/smalt/v1/events/stream", Own),
    ("GET", "/smalt/v1/flows/{flow}/stream", Account),
    ("POST", "/smalt/v1/request/stream", Organisation),
    ("GET", "/api/v3/org/basics", Session),
    ("POST", "/api/v2/f-sdk/config", Account),
    ("POST", "/api/v2/public/config", Account),
    ("PUT", "/api/v2/f-sdk/config", Account),
    ("PUT", "/api/v2/public/config", Account),
    ("GET", "/api/v2/f-sdk/slug/{slug}/config", Account),
    ("GET", "/api/v2/public/slug/{slug}/config", Account),
    ("GET", "/api/v2/f-sdk/slug/{slug}/config/{config}", Account),
    ("GET", "/api/v2/public/slug/{slug}/config/{config}", Account),
    ("DELETE", "/api/v2/f-sdk/slug/{slug}/config", Account),
    ("DELETE", "/api/v2/public/slug/{slug}/config", Account),
    ("DELETE", "/api/v2/f-sdk/slug/{slug}/config/{config}", Account),
    ("DELETE", "/api/v2/public/slug/{slug}/config/{config}", Account),
    ("GET", "/api/v2/public/slug/{slug}/configs", Account),
    ("PATCH", "/api/v2/public/slug/{slug}/config/{config}/workflows/{workflow}", Account),
    ("PUT", "/api/v2/public/slug/{slug}/config/{config}/workflows/{workflow}", Account),
    ("POST", "/api/v2/public/config/field", Account),
    ("GET", "/api/v2/public/config/field/{field}", Account),
    ("POST", "/api/v2/public/config/field/{field}", Account),
    ("PUT", "/api/v2/public/config/field/{field}", Account),
    ("DELETE", "/api/v2/public/config/field/{field}", Account),
    ("POST", "/api/v2/public/config/rule-engine/{field}", Account),
    ("GET", "/api/v2/public/config/rule-engine/{field}", Account),
    ("GET", "/api/v2/public/application/{slug}/icon", Public),
    ("POST", "/api/v2/public/connect-url", Account),
    ("GET", "/api/v2/public/hosted-properties", Session),
    ("GET", "/connect", Public),
    ("GET", "/connect/{ticket}", Public),
    ("POST", "/connect/open", Public),
    ("GET", "/connect/assets/{build}/{file}", Public),
    ("GET", "/client/{version}/{file}", Public),
];

/// The document as a client gets it.
pub async fn document(world: &World) -> Json {
    world.call("GET", "/smalt/v1/openapi.json", &[], Json::Null).await.expect(200).json()
}

/// One endpoint, by the document's word alone.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
    pub about: &'static str,
}

/// What the document describes, without Smalt's own operations: who may call is told by the credentials that it lists, and whom the call
/// is about by the parameter that names the linked account.
pub fn endpoints(document: &Json) -> Vec<Endpoint> {
    // Rows live as long as the tests.
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    let rows = described(document).into_iter().map(|((method, path), item)| {
        let takes = |scheme: &str| item["security"].as_array().unwrap().iter().any(|one| one.get(scheme).is_some());
        let parameters = item["parameters"].as_array().into_iter().flatten();
        let is_of_account = parameters.clone().any(|one| one["name"] == "linked_account_id" && one["in"] == "header");
        let access = match (takes("api_key"), takes("session"), is_of_account) {
            (false, false, _) => Public,
            (true, false, false) => Organisation,
            (true, false, true) => Backend,
            (false, true, _) => Session,
            (true, true, true) => Account,
            (true, true, false) => Own,
        };
        let places = parameters.filter(|one| one["in"] == "path").count();
        assert_eq!(places, path.matches('{').count(), "{path}: each place is described");
        Endpoint { method: leak(&method), path: leak(&path), access, about: leak(item["summary"].as_str().unwrap()) }
    });
    rows.collect()
}

/// Smalt's own operations, as the document has them: name, and whether a session may call it.
pub fn operations(document: &Json) -> BTreeMap<String, (Json, bool)> {
    let all = document["paths"].as_object().unwrap().iter();
    let own = all.filter(|(_, methods)| methods["post"]["tags"][0] == "operations");
    let read = own.map(|(path, methods)| {
        let may = methods["post"]["security"].as_array().unwrap().iter().any(|one| one.get("session").is_some());
        let form = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        let form = match form["$ref"].as_str() {
            Some(at) => document.pointer(at.strip_prefix('#').unwrap()).unwrap(),
            None => form,
        };
        (path.rsplit('/').next().unwrap().to_owned(), (form.clone(), may))
    });
    read.collect()
}

/// Methods and paths of the document, without Smalt's own operations.
pub fn described(document: &Json) -> BTreeMap<(String, String), Json> {
    let operations: BTreeSet<String> = Operation::ALL.iter().map(|operation| format!("/smalt/v1/{}", operation.row().name)).collect();
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| !operations.contains(*path)) {
        for (method, described) in methods.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone()), described.clone());
        }
    }
    found
}

#[tokio::test]
async fn the_document_has_these_endpoints_and_no_others_with_their_credentials() {
    let world = World::new().await;
    let described = described(&document(&world).await);
    let rows: BTreeSet<(String, String)> = ENDPOINTS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rows.len(), ENDPOINTS.len(), "a row stands here twice");
    assert_eq!(rows, described.keys().cloned().collect(), "left: the rows of this file; right: the document");
    for (method, path, access) in ENDPOINTS {
        let (key, session) = (json!({"api_key": []}), json!({"session": []}));
        let wanted = match access {
            Public => json!([]),
            Organisation | Backend => json!([key]),
            Session => json!([session]),
            _ => json!([key, session]),
        };
        assert_eq!(described[&((*method).to_owned(), (*path).to_owned())]["security"], wanted, "{method} {path}");
    }
    // What is read from the document alone is what stands in the table.
    let document = document(&world).await;
    let read: BTreeMap<_, _> = endpoints(&document).into_iter().map(|row| ((row.method, row.path), row.access)).collect();
    for (method, path, access) in ENDPOINTS {
        assert_eq!(read[&(*method, *path)], *access, "{method} {path}");
    }
    let operations = operations(&document);
    for operation in Operation::ALL.iter().filter(|operation| operation.embedded_only().is_none()) {
        let (_, may) = &operations[operation.row().name];
        assert_eq!(*may, operation.row().scope != Scope::Organisation, "{operation:?}");
    }
}
