//! Every route, in one table: what it is, who may call it, and the function that translates it.

mod accounts;
mod apps;
mod configs;
mod connect;
mod doorway;
mod fields;
mod health;
mod openapi;
mod org;
pub(crate) mod pages;
mod passing;
mod portal;
mod sessions;
mod streams;
mod webhooks;
mod workflows;

use std::{future::Future, pin::Pin};

use crate::{
    answer::{Answer, Trouble},
    call::Call,
};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone; the route brings its own proof, or needs none.
    Public,
    /// An API key.
    Organisation,
    /// An API key with a linked account, or a session token.
    Account,
    /// An API key with a linked account.
    Backend,
    /// A session token.
    Session,
    /// An API key, or a session token for its own account.
    Own,
    /// An API key or a session token; the operation says which is enough.
    Doorway,
}

/// What a route does.
pub(crate) type Run = fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Trouble>> + Send>>;

/// One route.
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path's pattern.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does.
    pub about: &'static str,
    pub(crate) run: Run,
}

macro_rules! table {
    ($($method:ident $path:literal $access:ident $room:ident::$run:ident $about:literal;)*) => {
        const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            access: Access::$access,
            about: $about,
            run: |call| Box::pin($room::$run(call)),
        },)*];
    };
}

table! {
    GET    "/healthz" Public health::alive "Tells that the process lives.";
    GET    "/readyz" Public health::ready "Tells whether store and keys can be used.";

    POST   "/api/v2/public/linked-account" Organisation accounts::create "Makes a linked account.";
    PUT    "/api/v2/public/linked-account" Own accounts::upsert "Makes or changes a linked account.";
    GET    "/api/v2/public/linked-account" Organisation accounts::list "Lists linked accounts.";
    GET    "/api/v2/public/linked-account/{id}" Own accounts::get "Reads a linked account.";
    DELETE "/api/v2/public/linked-account/{id}" Organisation accounts::delete "Deletes a linked account and everything of it.";
    GET    "/api/v2/public/session/active-linked-account" Session accounts::active "Reads the linked account of the session.";

    POST   "/api/v2/public/session-token" Organisation sessions::create "Makes or reuses a session token.";
    POST   "/api/v2/public/session-token/revoke" Session sessions::revoke "Ends the session.";

    GET    "/api/v2/f-sdk/application" Account apps::list "Lists applications.";
    GET    "/api/v2/f-sdk/application/{slug}" Account apps::get "Describes an application.";
    GET    "/api/v2/public/application" Account apps::list "Lists applications.";
    GET    "/api/v2/public/application/{slug}" Account apps::get "Describes an application.";
    GET    "/api/v2/public/application/{slug}/icon" Public apps::icon "An application's icon.";
    GET    "/api/v2/public/auth-structure/{slug}" Public apps::auth_structure "Tells what an import of credentials expects.";

    GET    "/api/v1/{slug}/integrate" Account connect::authorize_url "Begins an OAuth connect.";
    GET    "/api/v2/public/linked-account/integration/oauth-url/{slug}" Account connect::authorize_url "Begins an OAuth connect.";
    GET    "/api/v1/{slug}/callback" Public pages::callback "Where the provider sends the user back.";
    POST   "/api/v1/{slug}/callback" Public pages::callback "The same for providers that send a form.";
    GET    "/connect/go/{ticket}" Public pages::confirm "Asks the user to go on to the provider.";
    POST   "/connect/go/{ticket}" Public pages::go "Sends the user on to the provider.";
    GET    "/connect/done" Public pages::done "The page after the provider's: tells how a connect ended.";
    POST   "/api/v2/app/{slug}/save" Account connect::save "Verifies and saves keys.";
    PUT    "/api/v2/public/linked-account/integration/save-key-credentials/{slug}" Account connect::save "Verifies and saves keys.";
    PUT    "/api/v2/public/migrate-token" Backend connect::migrate "Takes over credentials that were issued elsewhere.";
    DELETE "/api/v1/linked-acc/integration/{slug}" Account connect::disconnect "Disconnects an application.";
    DELETE "/api/v2/public/linked-account/integration/{slug}" Account connect::disconnect "Disconnects an application.";

    PUT    "/api/v2/public/linked-account/default-app/auth-credentials/{key}" Account accounts::set_own "Sets a credential of the organisation's own application.";
    DELETE "/api/v2/public/linked-account/default-app/auth-credentials/{key}" Account accounts::remove_own "Removes one.";

    GET    "/api/v2/public/workflow" Own workflows::list "Lists workflows.";
    POST   "/api/v2/public/workflow" Account workflows::create "Not offered: workflows stand in the project file.";
    GET    "/api/v2/public/workflow/enabled" Account workflows::enabled "Lists the workflows that are on in any config.";
    GET    "/api/v2/public/workflow/request-structure/{id}" Account workflows::structure "Tells what a workflow takes.";
    GET    "/api/v2/public/workflow/versions/{id}" Account workflows::versions "Lists a workflow's versions.";
    GET    "/api/v2/public/workflow/{id}" Account workflows::get "Reads a workflow.";
    DELETE "/api/v2/public/workflow/{id}" Account workflows::change "Not offered: workflows stand in the project file.";
    GET    "/api/v2/public/workflow/{id}/edit" Account workflows::change "Not offered: workflows stand in the project file.";
    PUT    "/api/v2/public/workflow/{id}/publish" Account workflows::change "Not offered: workflows stand in the project file.";
    POST   "/api/v2/public/workflow/{id}/execute" Account workflows::execute "Runs a workflow that is on.";
    POST   "/api/v1/workflow/{id}/execute" Backend workflows::execute "Runs a workflow that is on.";
    GET    "/api/v2/public/execution" Account workflows::executions "Lists runs of workflows.";
    GET    "/api/v2/public/execution/{id}" Account workflows::execution_of "Reads a run of a workflow.";
    GET    "/api/v2/public/slug/{slug}/auth-config" Account apps::auth_configs "Lists the ways to authorise: one, the default.";

    GET    "/api/v2/public/webhook" Organisation webhooks::list "Lists webhooks, oldest first.";
    POST   "/api/v2/public/webhook" Organisation webhooks::create "Makes a webhook; shows its secret once.";
    DELETE "/api/v2/public/webhook" Organisation webhooks::delete_oldest "Deletes the oldest webhook, for an old client.";
    POST   "/api/v2/public/webhook/subscribe" Organisation webhooks::subscribe "Adds events to the oldest webhook, for an old client.";
    POST   "/api/v2/public/webhook/unsubscribe" Organisation webhooks::unsubscribe "Takes an event from the oldest webhook, for an old client.";
    GET    "/api/v2/public/webhook/{id}" Organisation webhooks::get "Reads a webhook.";
    PUT    "/api/v2/public/webhook/{id}" Organisation webhooks::update "Changes a webhook.";
    DELETE "/api/v2/public/webhook/{id}" Organisation webhooks::delete "Deletes a webhook; answers those that are left.";
    PUT    "/api/v2/public/webhooks/group/edit" Organisation webhooks::group "Puts webhooks into a group.";
    POST   "/api/v2/public/connect-url" Account portal::link "Makes a link to the hosted page.";
    GET    "/api/v2/public/hosted-properties" Session portal::properties "Reads what was stored for the hosted page.";
    GET    "/connect" Public portal::page "The hosted page, as it stands in the address bar.";
    GET    "/connect/{ticket}" Public portal::page "The hosted page, as a link leads to it.";
    POST   "/connect/open" Public portal::open "Trades a link's ticket for its session; for the hosted page only.";
    GET    "/connect/assets/{build}/{file}" Public portal::asset "A file of the hosted page.";
    GET    "/client/{version}/{file}" Public portal::client "The browser client, under its exact version or as `latest`.";

    GET    "/smalt/v1/capabilities" Public doorway::capabilities "Tells version and operations.";
    GET    "/smalt/v1/openapi.json" Public doorway::document "The OpenAPI document.";
    GET    "/smalt/v1/openapi" Public openapi::page "The same for people.";
    GET    "/smalt/v1/events/stream" Own streams::events "Sends what happens, as it happens: to a session what concerns its linked account.";
    GET    "/smalt/v1/flows/{flow}/stream" Account streams::flow "Sends how a connect flow stands, until it has ended.";
    POST   "/smalt/v1/request/stream" Organisation passing::pass "Sends an authenticated call whose bodies pass through piece by piece.";
    POST   "/smalt/v1/{operation}" Doorway doorway::operate "Calls an operation of the table.";

    GET    "/api/v3/org/basics" Session org::basics "Tells what a page needs to know about organisation and account.";

    POST   "/api/v2/f-sdk/config" Account configs::find "Finds or makes a config.";
    POST   "/api/v2/public/config" Account configs::find "Finds or makes a config.";
    PUT    "/api/v2/f-sdk/config" Account configs::update "Changes a config.";
    PUT    "/api/v2/public/config" Account configs::update "Changes a config.";
    GET    "/api/v2/f-sdk/slug/{slug}/config" Account configs::get "Reads the default config.";
    GET    "/api/v2/public/slug/{slug}/config" Account configs::get "Reads the default config.";
    GET    "/api/v2/f-sdk/slug/{slug}/config/{config}" Account configs::get "Reads a config.";
    GET    "/api/v2/public/slug/{slug}/config/{config}" Account configs::get "Reads a config.";
    DELETE "/api/v2/f-sdk/slug/{slug}/config" Account configs::delete "Deletes the default config.";
    DELETE "/api/v2/public/slug/{slug}/config" Account configs::delete "Deletes the default config.";
    DELETE "/api/v2/f-sdk/slug/{slug}/config/{config}" Account configs::delete "Deletes a config.";
    DELETE "/api/v2/public/slug/{slug}/config/{config}" Account configs::delete "Deletes a config.";
    GET    "/api/v2/public/slug/{slug}/configs" Account configs::ids "Lists the ids of configs.";
    PATCH  "/api/v2/public/slug/{slug}/config/{config}/workflows/{workflow}" Account configs::switch "Switches a workflow.";
    PUT    "/api/v2/public/slug/{slug}/config/{config}/workflows/{workflow}" Account configs::switch "Switches a workflow.";

    POST   "/api/v2/public/config/field" Account fields::all "Reads all fields and workflows.";
    GET    "/api/v2/public/config/field/{field}" Account fields::get "Reads a field.";
    POST   "/api/v2/public/config/field/{field}" Account fields::get "Reads a field, with a value for its choices.";
    PUT    "/api/v2/public/config/field/{field}" Account fields::set "Sets a field.";
    DELETE "/api/v2/public/config/field/{field}" Account fields::clear "Clears a field.";
    POST   "/api/v2/public/config/rule-engine/{field}" Account fields::rule "Tells a rule's columns for a left side.";
    GET    "/api/v2/public/config/rule-engine/{field}" Account fields::rule "The same without a left side, for one old client.";
}

/// Whether a route calls, whatever its request says, an operation that asks about the caller's session in the transaction that reads its
/// answer: then nobody asks before.
pub(crate) fn asks_itself(route: &Route) -> bool {
    let rest = route.path.strip_prefix("/api/v2/f-sdk/application").or_else(|| route.path.strip_prefix("/api/v2/public/application"));
    route.access == Access::Account && matches!(rest, Some("" | "/{slug}"))
}

/// Where providers send browsers.
pub(crate) const CALLBACK: &str = "/api/v1/{slug}/callback";

/// The page that callbacks lead to.
pub(crate) const DONE: &str = "/connect/done";

/// The route whose body is not read before it is called.
pub(crate) const PASSING: &str = "/smalt/v1/request/stream";

/// The table.
pub fn routes() -> &'static [Route] {
    ROUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table takes its patterns as literals; a name for one must not lead past it.
    #[test]
    fn patterns_that_have_a_name_stand_in_the_table() {
        for (pattern, methods) in [(CALLBACK, &["GET", "POST"][..]), (DONE, &["GET"]), (PASSING, &["POST"])] {
            let found: Vec<_> = ROUTES.iter().filter(|route| route.path == pattern).map(|route| route.method).collect();
            assert_eq!(found, methods, "{pattern}");
        }
    }

    /// What the path alone tells, before a route is found, is what the table says.
    #[test]
    fn a_callback_is_told_by_its_path_as_by_its_route() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            assert_eq!(crate::path::is_callback(&path), route.path == CALLBACK, "{path}");
        }
    }
}
