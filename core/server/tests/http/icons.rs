//! Icons of applications: where they can be had, whatever the project changes of a brand.

use serde_json::json;
use smalt::model::Json;
use smalt_server::ApiOptions;

use crate::world::{PUBLIC, World};

/// An application of the box with an icon that is data, and a brand of the project's.
async fn world(brand: Json) -> World {
    let settings = json!({"brand": brand, "workflows": [{"id": "digest", "name": "Digest", "enabled": true}]});
    World::with(ApiOptions::default(), |project| {
        project.apps.insert("airtable".into(), serde_json::from_value(settings).unwrap());
    })
    .await
}

#[tokio::test]
async fn a_brand_without_an_icon_leaves_the_one_in_the_box() {
    let path = "/api/v2/public/application/airtable/icon";
    let address = format!("{PUBLIC}{path}");
    for (brand, content_type) in
        [(json!({"color": "#123456"}), "image/svg+xml"), (json!({"icon": "data:image/png;base64,AAEC"}), "image/png")]
    {
        let world = world(brand.clone()).await;
        let session = world.account("ada").await;
        let headers = [("authorization", session.as_str())];
        assert_eq!(world.send("GET", path, &[], b"").await.expect(200).header("content-type"), content_type, "{brand}");
        let app = world.call("GET", "/api/v2/f-sdk/application/airtable", &headers, Json::Null).await.expect(200).json();
        assert_eq!(app["icon"], address.as_str(), "{brand}");
        // Wherever else an application is named, it is the same address.
        world.call("POST", "/api/v2/f-sdk/config", &headers, json!({"slug": "airtable"})).await.expect(200);
        let on = world.call("GET", "/api/v2/public/workflow/enabled", &headers, Json::Null).await.expect(200).json();
        assert_eq!((&on[0]["id"], &on[0]["application"]["icon"]), (&json!("digest"), &json!(address)), "{on}");
        let one = world.call("GET", "/api/v2/public/workflow/digest?slug=airtable", &headers, Json::Null).await.expect(200).json();
        assert_eq!(one["associated_application"]["icon"], address.as_str());
    }
    // One that has an address of its own keeps it, and there is none to be had here.
    let world = world(json!({"icon": "https://cdn.example/airtable.svg"})).await;
    let session = world.account("ada").await;
    let app = world.call("GET", "/api/v2/f-sdk/application/airtable", &[("authorization", &session)], Json::Null).await.expect(200).json();
    assert_eq!(app["icon"], "https://cdn.example/airtable.svg");
    world.send("GET", path, &[], b"").await.expect(404);
}
