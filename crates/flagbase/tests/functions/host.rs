//! What a function reaches while it runs: variables, secrets, stores, buckets, other servers, flags and its log.

use flagbase_testkit::Backend;

use super::*;

const EVERYTHING: &str = r"
import { buckets, context, flags, kv, secrets } from 'flagbase';

const told = async (work) => {
  try {
    return await work();
  } catch (error) {
    return `refused: ${error.message}`;
  }
};

export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    console.warn('asked for', path, { by: 'somebody' });
    await buckets.put('uploads', `img/${path.slice(1)}`, `made by ${context.function}`);
    return Response.json({
      variable: env.GREETING,
      secret: secrets.get('API_KEY'),
      calls: await kv.increment('calls'),
      object: await buckets.get('uploads', `img/${path.slice(1)}`, 'text'),
      keys: (await buckets.list('uploads', { prefix: 'img/' })).objects.map((object) => object.key),
      ungranted: await told(() => buckets.get('private', 'diary', 'text')),
      other_store: await told(() => kv.store('billing').get('x')),
      message: await told(() => flagbase.bus.publish('orders.created', 'x')),
      rates: await told(async () => (await fetch(`${env.RATES}/rates`)).text()),
      inside: await told(async () => (await fetch(`${env.INSIDE}/admin`)).text()),
      color: flags.text('color', 'none'),
    });
  },
};
";

/// A developer's server on which that function is deployed; `rates` may be asked, `inside` may not.
async fn prepared(rates: &Backend, inside: &Backend) -> (TestServer, String) {
    let settings = [("FLAGBASE_FUNCTIONS__ALLOW_LOOPBACK_OUTBOUND", "true")];
    let server = TestServer::start_with(PROGRAM, &settings).await;
    let developer = server.join("dev@example.com", "developer").await;
    for bucket in ["uploads", "private"] {
        server.put(&format!("/api/v1/buckets/{bucket}"), &developer, &json!({})).await.expect_status(201);
    }
    let flag = json!({"key": "color", "type": "string", "enabled": true,
        "variants": [{"name": "green", "value": "#00ff00"}, {"name": "red", "value": "#ff0000"}],
        "default_variant": "green", "off_variant": "red"});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    let settings = json!({
        "environment": {"GREETING": "hi", "RATES": rates.url(), "INSIDE": inside.url()},
        "grants": {"flags": true, "keyvalue": ["default"], "buckets": ["uploads"], "outbound": [rates.url()],
            "secrets": true},
    });
    server.put("/api/v1/functions/all", &developer, &settings).await.expect_status(201);
    deploy_with(&server, &developer, "all", ("file=all.js", EVERYTHING.into())).await.expect_status(201);
    let secret = json!({"value": "s3cret"});
    server.put("/api/v1/functions/all/secrets/API_KEY", &developer, &secret).await.expect_status(204);
    (server, developer)
}

#[tokio::test]
async fn a_function_reaches_what_it_was_granted_and_nothing_else() {
    let (rates, inside) = (Backend::start().await, Backend::start().await);
    rates.answer(200, "1.08");
    let (server, developer) = prepared(&rates, &inside).await;
    for calls in 1..=3 {
        let path = format!("/functions/all/cat-{calls}.png");
        let answer = server.send(Method::GET, &path, None, None).await.expect_status(200).json;
        for (member, expected) in [
            ("variable", json!("hi")),
            ("secret", json!("s3cret")),
            ("calls", json!(calls)),
            ("object", json!("made by all")),
            ("rates", json!("1.08")),
            ("color", json!("#00ff00")),
        ] {
            assert_eq!(answer[member], expected, "{member}: {answer}");
        }
        let keys: Vec<_> = (1..=calls).map(|number| format!("img/cat-{number}.png")).collect();
        assert_eq!(answer["keys"], json!(keys), "{answer}");
        for refused in ["ungranted", "other_store", "message", "inside"] {
            let told = answer[refused].as_str().unwrap();
            assert!(told.starts_with("refused: ") && told.len() > 20, "{refused}: {told}");
        }
    }
    assert_eq!((rates.received().len(), inside.received().len()), (3, 0), "nobody inside was asked");
    counted(&server, &developer, 3).await;
}

/// The flag's figures show `exposures` of what the function asked for.
async fn counted(server: &TestServer, token: &str, exposures: u64) {
    let path = "/api/v1/flags/color/metrics";
    let green = until("exposures are counted", async || {
        let figures = server.get(path, token).await.expect_status(200).json;
        let variants = figures["variants"].as_array().unwrap().clone();
        variants.into_iter().find(|variant| variant["variant"] == "green" && variant["exposures"] != 0)
    });
    assert_eq!(green.await["exposures"], json!(exposures));
}

#[tokio::test]
async fn a_line_on_the_console_is_kept_with_its_level_and_the_trace_of_its_request() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (rates, inside) = (Backend::start().await, Backend::start().await);
    let (server, developer) = prepared(&rates, &inside).await;
    let request = server.client().get(server.url("/functions/all/traced"));
    let traced = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    server.reply(traced).await.expect_status(200);
    call(&server, "all").await.expect_status(200);
    let lines = until("both lines are there", async || {
        let page = server.get("/api/v1/functions/all/logs", &developer).await.expect_status(200);
        Some(page.json).filter(|lines| lines.as_array().is_some_and(|lines| lines.len() == 2))
    })
    .await;
    let of = |path: &str| {
        let lines = lines.as_array().unwrap();
        lines.iter().find(|line| line["message"].as_str().unwrap().contains(path)).unwrap().clone()
    };
    let traced = of("/traced");
    assert_eq!((&traced["level"], &traced["version"]), (&json!("warn"), &json!(1)), "{traced}");
    assert!(traced["message"].as_str().unwrap().contains("somebody"), "objects are shown: {traced}");
    assert!(traced.to_string().contains(TRACE), "{traced}");
    let untraced = lines.as_array().unwrap().iter().find(|line| !line.to_string().contains("/traced"));
    assert!(!untraced.unwrap().to_string().contains(TRACE), "another request is another trace: {lines}");
}

#[tokio::test]
async fn a_flag_in_a_function_is_evaluated_for_whoever_called() {
    const ASKS: &str = "import { context, flags } from 'flagbase';\n\
        export default { fetch: () => Response.json({ color: flags.text('color', 'none'),\n\
          email: context.caller.email ?? '', unknown: flags.text('nobody-made-this', 'fallback') }) };";
    let server = TestServer::start(PROGRAM).await;
    let developer = server.join("dev@example.com", "developer").await;
    let customer = server.join("customer@example.com", "user").await;
    let flag = json!({"key": "color", "type": "string", "enabled": true,
        "variants": [{"name": "green", "value": "green"}, {"name": "red", "value": "red"}],
        "default_variant": "green", "off_variant": "green",
        "rules": [{"attribute": "role", "operator": "equals", "value": "developer", "variant": "red"}]});
    server.post("/api/v1/flags", &developer, &flag).await.expect_status(201);
    deploy_with(&server, &developer, "asks", ("file=asks.js", ASKS.into())).await.expect_status(201);
    let told = async |token: &str| server.get("/functions/asks", token).await.expect_status(200).json;
    let answer = told(&developer).await;
    assert_eq!((&answer["color"], &answer["email"]), (&json!("red"), &json!("dev@example.com")));
    assert_eq!(answer["unknown"], json!("fallback"));
    assert_eq!(told(&customer).await["color"], json!("green"));
    assert_eq!(call(&server, "asks").await.expect_status(200).json["color"], json!("green"));
    let own = json!({"variant": "green"});
    server.put("/api/v1/flags/color/override", &developer, &own).await.expect_status(200);
    assert_eq!(told(&developer).await["color"], json!("green"), "an override holds within functions");
    server
        .patch("/api/v1/flags/color", &developer, &json!({"default_variant": "red"}))
        .await
        .expect_status(200);
    assert_eq!(told(&customer).await["color"], json!("red"), "the next request sees the change");
}
