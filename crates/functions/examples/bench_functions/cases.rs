//! The figures.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use flagbase_core::{
    caller::{Caller, Principal},
    flags::{Asked, Flags},
    functions::{Artifact, Body, Compute as _, Deployed, Settings},
    random::SystemRandom,
    tasks::Tasks,
};
use flagbase_functions::wasm::{CompileConfig, Wasm, WasmConfig};
use flagbase_testkit::compute::{common, deployed, visit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{COMPILE, guests, host};

const SCRIPT: &str = "export default { fetch(request) { return new Response('hello\\n'); } };";
const HELLO: &str = "(call $answer (i32.const 200) (i32.const 4) (i32.const 4))";
/// Evaluations in one call.
const EVALUATIONS: u32 = 10_000;

fn tell(subject: &str, unit: &str, value: f64, limit: Option<f64>) {
    println!("{}", json!({ "subject": subject, "unit": unit, "value": value, "limit": limit }));
}

/// Processor time of this process, in microseconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The machine's clock, in microseconds.
fn wall() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

struct Bench {
    wasm: Wasm,
    behind: host::Behind,
    _cache: tempfile::TempDir,
}

impl Bench {
    async fn new(loaded: usize) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let behind = host::behind().await;
        let config = WasmConfig {
            cache: cache.path().to_owned(),
            loaded,
            instances: 1000,
            most_code: 64 << 20,
            compile: CompileConfig {
                program: None,
                arguments: vec![COMPILE.into()],
                timeout: Duration::from_mins(1),
                memory: 1 << 30,
            },
        };
        let wasm = Wasm::new(config, Arc::clone(&behind.host), Tasks::new(), Arc::new(SystemRandom)).unwrap();
        Self { wasm, behind, _cache: cache }
    }

    async fn deploy(&self, artifact: &Artifact, settings: Settings) -> Arc<Deployed> {
        let terms = (&settings.grants, &settings.limits);
        let prepared = self.wasm.prepare(artifact, terms, &|_| {}).await.unwrap();
        deployed(artifact, prepared.shape, settings)
    }

    async fn call(&self, function: &Arc<Deployed>) -> u16 {
        let request = http::Request::get("/hello").body(Body::Empty).unwrap();
        self.wasm.serve(visit(function), request).await.unwrap().status().as_u16()
    }

    /// Microseconds of processor time of one call, the best of a few batches.
    async fn calls(&self, function: &Arc<Deployed>, count: u32) -> f64 {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = cpu();
            for _ in 0..count {
                assert_eq!(self.call(function).await, 200);
            }
            best = best.min((cpu() - start) / f64::from(count));
        }
        best
    }

    async fn flag(&self) {
        let admin = Caller {
            principal: Principal::User,
            id: "1".into(),
            email: "admin@example.com".into(),
            role: "admin".into(),
            ..Caller::clone(&Caller::nobody())
        };
        let asked = Asked { caller: &admin, environment: "default", reason: "measuring" };
        let flag = json!({"key": "checkout", "enabled": true});
        Flags::new(Arc::clone(&self.behind.feed)).create(asked, &flag).await.unwrap();
    }
}

/// What one call costs.
pub(super) async fn all() {
    let bench = Bench::new(64).await;
    let hello = bench.deploy(&guests::handler(HELLO), common()).await;
    bench.wasm.rehearse(visit(&hello)).await.unwrap();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = cpu();
        for _ in 0..2000 {
            bench.wasm.rehearse(visit(&hello)).await.unwrap();
        }
        best = best.min((cpu() - start) / 2000.0);
    }
    tell("component: instantiate and drop", "us", best, Some(10.0));
    tell("native component: a call in a fresh instance", "us", bench.calls(&hello, 2000).await, Some(20.0));
    let warm = bench.deploy(&guests::handler(HELLO), Settings { warm: true, ..common() }).await;
    tell("native component: a call in a warm instance", "us", bench.calls(&warm, 5000).await, None);
    evaluations(&bench).await;
    let script = Artifact::new("hello.js", Bytes::from_static(SCRIPT.as_bytes()));
    let fresh = bench.deploy(&script, common()).await;
    tell("JavaScript: a call in a fresh instance", "us", bench.calls(&fresh, 500).await, Some(200.0));
    let warm = bench.deploy(&script, Settings { warm: true, ..common() }).await;
    tell("JavaScript: a call in a warm instance", "us", bench.calls(&warm, 1000).await, Some(20.0));
    bench.wasm.stop().await;
    starts().await;
}

/// A guest that asks for a flag many times, beside one that does everything but that.
async fn evaluations(bench: &Bench) {
    bench.flag().await;
    let guest = |count: u32| {
        let fields = format!(
            r#"(import "flagbase:features/evaluate@1.0.0" "boolean" (func $flag (param i32 i32 i32) (result i32)))
            ;; fields
            (data (i32.const 16) "checkout")
            (func (export "flagbase:faas/handler@1.0.0#handle") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
              (local $left i32)
              (local.set $left (i32.const {count}))
              (loop $next
                (drop (call $flag (i32.const 16) (i32.const 8) (i32.const 0)))
                (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
              (call $answer (i32.const 200) (i32.const 0) (i32.const 0)))"#
        );
        let world = "import flagbase:features/evaluate@1.0.0; export flagbase:faas/handler@1.0.0;";
        guests::component(world, &fields)
    };
    let (one, many) =
        (bench.deploy(&guest(1), common()).await, bench.deploy(&guest(EVALUATIONS), common()).await);
    let (one, many) = (bench.calls(&one, 200).await, bench.calls(&many, 20).await);
    tell("a flag evaluation from a guest", "us", (many - one) / f64::from(EVALUATIONS - 1), Some(0.2));
}

/// The first call of code that is on disk and not loaded: only one version fits at once.
async fn starts() {
    let bench = Bench::new(1).await;
    let one = bench.deploy(&guests::handler(HELLO), common()).await;
    let other = bench
        .deploy(&guests::handler("(call $answer (i32.const 200) (i32.const 0) (i32.const 0))"), common())
        .await;
    let script = |text: &'static str| Artifact::new("a.js", Bytes::from_static(text.as_bytes()));
    let first = bench.deploy(&script(SCRIPT), common()).await;
    let second = bench
        .deploy(&script("export default { fetch() { return new Response('other\\n'); } };"), common())
        .await;
    for (subject, pair, limit) in [
        ("native component: first call, from disk", [&one, &other], 2.0),
        ("JavaScript: first call, from disk", [&first, &second], 5.0),
    ] {
        let mut times = Vec::new();
        for round in 0..42 {
            let (start, spent) = (wall(), cpu());
            bench.call(pair[round % 2]).await;
            times.push(((cpu() - spent) / 1e3, (wall() - start) / 1e3));
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        tell(subject, "ms", times[21].0, Some(limit));
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        tell(&format!("{subject}, by the wall clock"), "ms", times[21].1, None);
    }
    bench.wasm.stop().await;
}

fn resident() -> f64 {
    let pages = std::fs::read_to_string(Path::new("/proc/self/statm")).unwrap();
    let pages: f64 = pages.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as f64 / 1e6
}

/// Memory of a thousand functions, each of which was called: nine hundred components and a hundred sources.
pub(super) async fn thousand() {
    let bench = Bench::new(1000).await;
    let before = resident();
    for number in 0..900 {
        let text = format!("(drop (i32.const {number})) {HELLO}");
        let function = bench.deploy(&guests::handler(&text), common()).await;
        assert_eq!(bench.call(&function).await, 200);
    }
    tell("900 deployed components", "MB", resident() - before, None);
    for number in 0..100 {
        let text = format!("const number = {number}; {SCRIPT}");
        let function = bench.deploy(&Artifact::new("a.js", Bytes::from(text)), common()).await;
        assert_eq!(bench.call(&function).await, 200);
    }
    tell("1000 deployed functions", "MB", resident() - before, Some(500.0));
    bench.wasm.stop().await;
}
