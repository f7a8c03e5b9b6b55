//! The ISP's journey as an existing script of the field makes it, call after call, each with the
//! status that the script expects.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/api_lab.rs"]
#[allow(dead_code, reason = "shared by several tests, each of which uses a part")]
mod api_lab;

use api_lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn the_isp_journey_gets_the_statuses_that_its_script_expects() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let anonymous = |path: &'static str| lab.send("GET", path, &[], "");

    assert_eq!(anonymous("/health").await.status, 200);
    assert_eq!(anonymous("/api/v1/auth/login").await.status, 405);
    assert_eq!(anonymous("/api/v1/setup/status").await.status, 200);

    let plans = anonymous("/api/v1/service-plans").await;
    assert_eq!((plans.status, plans.body["total"].as_u64()), (200, Some(0)), "{plans:?}");

    let plan = r#"{"plan_code":"HOME-50","name":"Home 50","service_type":"internet","monthly_price":49.99,
        "download_speed":50,"upload_speed":10,"bandwidth_unit":"mbps"}"#;
    let plan = lab.call("POST", "/api/v1/service-plans", plan).await;
    assert_eq!(plan.status, 201, "{plan:?}");
    assert_eq!(plan.body["monthly_price"], "49.99");

    // The one deviation: customers are never listed to anybody who has not logged in.
    assert_eq!(anonymous("/api/v1/customers").await.status, 401);
    assert_eq!(lab.get("/api/v1/customers").await.status, 200);

    let customer = r#"{"customer_number":"CUST-001","email":"ada@example.net","first_name":"Ada",
        "last_name":"Obi","phone":"+2348012345678",
        "billing_address":{"street":"1 Marina","city":"Lagos","state":"LA","zip":"101001"}}"#;
    let customer = lab.call("POST", "/api/v1/customers", customer).await;
    assert_eq!(customer.status, 201, "{customer:?}");
    assert_eq!(customer.body["customer_number"], "CUST-001");
    assert_eq!(customer.body["billing_address"]["zip"], "101001");
    let id = customer.body["id"].as_str().unwrap();

    let public = anonymous("/api/v1/public/service-plans").await;
    assert_eq!(public.status, 200);
    assert_eq!(public.body.as_array().map(Vec::len), Some(1), "a bare list: {public:?}");

    let status = lab.get(&format!("/api/v1/provisioning/status/{id}")).await;
    assert_eq!((status.status, status.body["status"].as_str()), (200, Some("none")), "{status:?}");
}
