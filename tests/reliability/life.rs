//! One whole life, by programs that others wrote.

use smalt::{Smalt, backend::StartConnect, vault::LocalKey};
use smalt_tests::counterpart::{Provider, User};
/// The whole OAuth life against a provider that others wrote.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_against_oidc_provider() {
    let provider = Provider::start(&[]);
    let user = User::without_browser();
    let folder = tempfile::tempdir().unwrap();
    let smalt = Smalt::embedded(folder.path().join("smalt.db"))
        .keys(LocalKey::generate().unwrap())
        .project_value(provider.project(folder.path()))
        .manifest(provider.manifest())
        .open()
        .await
        .unwrap();
    let account = smalt.account("customer-42");
    account.ensure().await.unwrap();
    let started = account.start_connect("counterpart", StartConnect::default()).await.unwrap();
    let callback = user.visit(&started.authorize_url, "ada", true, None);
    let connection = account.finish_connect(callback, started.cookie.value.clone()).await.unwrap();
    assert_eq!(connection.identity.unwrap().id, "ada");
    let credential = account.credential("counterpart").await.unwrap();
    let token = credential.access_token.as_ref().unwrap();
    assert!(provider.is_active(token.expose()));
    account.disconnect("counterpart").await.unwrap();
    assert!(!provider.is_active(token.expose()));
}
