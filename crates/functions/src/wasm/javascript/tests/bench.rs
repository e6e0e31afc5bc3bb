//! A host with nothing behind it, which answers what guests import from maps in memory.

use std::collections::BTreeMap;

use wasmtime::{
    Config, Store,
    component::{Component, InstancePre, Linker, Resource, ResourceType, Val, types::ComponentItem},
};

use super::super::*;

/// What stands behind the imports of one instance.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) log: Vec<String>,
    pub(super) stored: BTreeMap<String, Vec<u8>>,
    pub(super) published: Vec<(String, Vec<u8>)>,
    pub(super) sent: Vec<Vec<Val>>,
    /// How much time has passed, in nanoseconds; sleeping lets it pass.
    now: u64,
    chance: u64,
}

/// Builds sources and calls them.
pub(super) struct Bench {
    engine: Engine,
    module: Module,
}

/// One function, ready to be instantiated.
pub(super) struct Function {
    ready: InstancePre<World>,
    pub(super) built: Built,
}

/// One instance: state lives as long as it does.
pub(super) struct Running {
    store: Store<World>,
    instance: wasmtime::component::Instance,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Bench {
    /// The same for all tests: compiling the guest takes seconds.
    pub(super) fn shared() -> &'static Self {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        BENCH.get_or_init(|| {
            let mut config = Config::new();
            config.memory_reservation(256 << 20).max_wasm_stack(1 << 20);
            Self::with(Engine::new(&config).unwrap())
        })
    }

    /// With an engine of its own.
    pub(super) fn with(engine: Engine) -> Self {
        let module = Module::new(&engine, code().unwrap()).unwrap();
        Self { engine, module }
    }

    pub(super) fn build(&self, name: &str, source: &str) -> Result<Built, PrepareError> {
        self.build_bytes(name, source.as_bytes())
    }

    pub(super) fn build_bytes(&self, name: &str, source: &[u8]) -> Result<Built, PrepareError> {
        build(&self.engine, &self.module, (name, source), Duration::MAX)
    }

    pub(super) fn function(&self, name: &str, source: &str) -> Function {
        let built = self.build(name, source).unwrap();
        let component = Component::new(&self.engine, &built.component).unwrap();
        let mut linker = Linker::<World>::new(&self.engine);
        linker.root().module(IMPORT, &self.module).unwrap();
        for (name, item) in component.component_type().imports(&self.engine) {
            let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
            let mut into = linker.instance(name).unwrap();
            for (function, item) in interface.exports(&self.engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(_) => {
                        let called = format!("{name} {function}");
                        into.func_new(function, move |mut store, _, given, results| {
                            if let ([Val::U64(duration)], true) =
                                (given, called.ends_with(" subscribe-duration"))
                            {
                                store.data_mut().now += duration;
                                let pollable =
                                    Resource::<()>::new_own(1).try_into_resource_any(&mut store)?;
                                results[0] = Val::Resource(pollable);
                                return Ok(());
                            }
                            if let ([Val::Resource(pollable)], true) =
                                (given, called.ends_with("pollable.block"))
                            {
                                pollable.resource_drop(&mut store)?;
                                return Ok(());
                            }
                            answer(&called, store.data_mut(), given, results);
                            Ok(())
                        })
                        .unwrap();
                    }
                    ComponentItem::Resource(_) => {
                        into.resource(function, ResourceType::host::<()>(), |_, _| Ok(())).unwrap();
                    }
                    _ => {}
                }
            }
        }
        Function { ready: linker.instantiate_pre(&component).unwrap(), built }
    }
}

impl Function {
    pub(super) fn start(&self) -> Running {
        let mut store =
            Store::new(self.ready.engine(), World { now: 5_000_000, chance: 1, ..World::default() });
        store.set_epoch_deadline(1 << 40);
        let instance = self.ready.instantiate(&mut store).unwrap();
        Running { store, instance }
    }
}

impl Running {
    pub(super) fn world(&self) -> &World {
        self.store.data()
    }

    fn call(&mut self, interface: &str, function: &str, given: &[Val]) -> wasmtime::Result<Val> {
        let interface = self.instance.get_export_index(&mut self.store, None, interface).unwrap();
        let function = self.instance.get_export_index(&mut self.store, Some(&interface), function).unwrap();
        let function = self.instance.get_func(&mut self.store, function).unwrap();
        let mut results = [Val::Bool(false)];
        function.call(&mut self.store, given, &mut results)?;
        let [result] = results;
        Ok(result)
    }

    pub(super) fn get(&mut self, target: &str) -> Answer {
        self.serve("GET", target, &[], &[])
    }

    pub(super) fn serve(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_serve(method, target, headers, body).unwrap()
    }

    pub(super) fn try_serve(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> wasmtime::Result<Answer> {
        let mut all = vec![("host", "example.com")];
        all.extend(headers);
        let request = record([
            ("method", text(method)),
            ("target", text(target)),
            ("headers", Val::List(all.iter().map(|(n, v)| Val::Tuple(vec![text(n), text(v)])).collect())),
            ("body", bytes(body)),
        ]);
        let response = self.call("flagbase:faas/handler@1.0.0", "handle", &[request])?;
        let Val::Record(fields) = response else { panic!("no record: {response:?}") };
        let mut fields = fields.into_iter().map(|(_, value)| value);
        let Some(Val::U16(status)) = fields.next() else { panic!("no status") };
        let headers = fields.next().map(pairs).unwrap();
        Ok(Answer { status, headers, body: of_bytes(&fields.next().unwrap()) })
    }

    pub(super) fn receive(&mut self, subject: &str, data: &[u8]) -> Result<(), String> {
        let event = record([
            ("id", text("e1")),
            ("subject", text(subject)),
            ("kind", text("")),
            ("time", text("2026-01-02T03:04:05Z")),
            ("content-type", text("application/json")),
            ("data", bytes(data)),
            ("attempt", Val::U32(2)),
        ]);
        outcome(self.call("flagbase:faas/subscriber@1.0.0", "receive", &[event]).unwrap())
    }

    pub(super) fn tick(&mut self) -> Result<(), String> {
        let tick = record([("schedule", text("0 3 * * *")), ("time", text("2026-01-02T03:00:00Z"))]);
        outcome(self.call("flagbase:faas/timer@1.0.0", "run", &[tick]).unwrap())
    }
}

fn outcome(value: Val) -> Result<(), String> {
    match value {
        Val::Result(Err(Some(text))) => Err(of_text(&text)),
        _ => Ok(()),
    }
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn bytes(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect())
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn of_text(value: &Val) -> String {
    let Val::String(text) = value else { panic!("no text: {value:?}") };
    text.clone()
}

fn of_bytes(value: &Val) -> Vec<u8> {
    let Val::List(list) = value else { panic!("no list: {value:?}") };
    list.iter().map(|byte| if let Val::U8(byte) = byte { *byte } else { panic!("no byte") }).collect()
}

fn pairs(value: Val) -> Vec<(String, String)> {
    let Val::List(list) = value else { panic!("no list: {value:?}") };
    list.iter()
        .map(|pair| {
            let Val::Tuple(parts) = pair else { panic!("no pair") };
            (of_text(&parts[0]), of_text(&parts[1]))
        })
        .collect()
}

fn ok(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

fn err(value: Val) -> Val {
    Val::Result(Err(Some(Box::new(value))))
}

/// What the host answers, by the name of the import.
fn answer(called: &str, world: &mut World, given: &[Val], results: &mut [Val]) {
    let (interface, function) = called.rsplit_once(' ').unwrap();
    let interface = interface.rsplit_once('@').map_or(interface, |(name, _)| name);
    let value = match (interface, function) {
        ("flagbase:faas/log", _) => {
            let Val::Enum(level) = &given[0] else { panic!("no level") };
            world.log.push(format!("{level} {}", of_text(&given[1])));
            return;
        }
        ("wasi:clocks/wall-clock", _) => {
            record([("seconds", Val::U64(1_767_323_045)), ("nanoseconds", Val::U32(0))])
        }
        ("wasi:clocks/monotonic-clock", "now") => Val::U64(world.now),
        ("wasi:random/random", _) => {
            world.chance = world.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Val::U64(world.chance)
        }
        ("flagbase:faas/keyvalue", _) if of_text(&given[0]) != "default" => {
            err(Val::Variant("no-such-store".to_owned(), None))
        }
        ("flagbase:faas/keyvalue", _) => keyvalue(function, world, given),
        ("flagbase:faas/config", "all") => Val::List(vec![Val::Tuple(vec![text("GREETING"), text("hi")])]),
        ("flagbase:faas/config", _) => {
            Val::Option((of_text(&given[0]) == "GREETING").then(|| Box::new(text("hi"))))
        }
        ("flagbase:faas/secrets", _) => err(text("secrets are not granted to this function")),
        ("flagbase:faas/bus", _) => {
            world.published.push((of_text(&given[0]), of_bytes(&given[1])));
            ok(None)
        }
        ("flagbase:features/evaluate", "boolean") => Val::Bool(of_text(&given[0]) == "new-page"),
        ("flagbase:features/evaluate", "text") => text("blue"),
        ("flagbase:features/evaluate", "number") => Val::Float64(0.5),
        ("flagbase:features/evaluate", _) => {
            record([("value", text("{\"a\":[1]}")), ("variant", text("first")), ("reason", text("SPLIT"))])
        }
        ("flagbase:faas/context", "who") => record([
            ("id", text("u1")),
            ("email", text("alice@example.com")),
            ("role", text("developer")),
            ("groups", Val::List(vec![text("a"), text("b")])),
        ]),
        ("flagbase:faas/context", _) => record([
            ("function", text("test")),
            ("version", Val::U32(3)),
            ("environment", text("dev")),
            ("request-id", text("r1")),
            ("traceparent", text("")),
        ]),
        ("flagbase:faas/fetch", _) => {
            world.sent.push(given.to_vec());
            fetched(given)
        }
        other => panic!("`{other:?}` is not answered"),
    };
    results[0] = value;
}

fn keyvalue(function: &str, world: &mut World, given: &[Val]) -> Val {
    let key = of_text(&given[1]);
    match function {
        "get" => ok(Some(Val::Option(world.stored.get(&key).map(|value| Box::new(bytes(value)))))),
        "set" => {
            world.stored.insert(key, of_bytes(&given[2]));
            ok(None)
        }
        "delete" => {
            world.stored.remove(&key);
            ok(None)
        }
        "exists" => ok(Some(Val::Bool(world.stored.contains_key(&key)))),
        "keys" => {
            let keys =
                world.stored.keys().filter(|stored| stored.starts_with(&key)).map(|key| text(key)).collect();
            ok(Some(record([("keys", Val::List(keys)), ("next", Val::Option(Some(Box::new(text("zz")))))])))
        }
        "increment" => {
            let Val::S64(by) = given[2] else { panic!("no number") };
            let before =
                world.stored.get(&key).map_or(0, |value| String::from_utf8_lossy(value).parse().unwrap());
            let sum: i64 = before + by;
            world.stored.insert(key, sum.to_string().into_bytes());
            ok(Some(Val::S64(sum)))
        }
        _ => {
            let Val::Option(old) = &given[2] else { panic!("no option") };
            let same = world.stored.get(&key).cloned() == old.as_ref().map(|old| of_bytes(old));
            if same {
                world.stored.insert(key, of_bytes(&given[3]));
            }
            ok(Some(Val::Bool(same)))
        }
    }
}

/// `/moved` redirects, `/denied` is not granted, `/rates` is JSON, everything else tells what was sent.
fn fetched(given: &[Val]) -> Val {
    let Val::Record(fields) = &given[0] else { panic!("no record") };
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone()).unwrap();
    let (method, url, body) = (of_text(&field("method")), of_text(&field("url")), of_bytes(&field("body")));
    let response = |status, headers: &[(&str, &str)], body: &[u8]| {
        ok(Some(record([
            ("status", Val::U16(status)),
            ("headers", Val::List(headers.iter().map(|(n, v)| Val::Tuple(vec![text(n), text(v)])).collect())),
            ("body", bytes(body)),
        ])))
    };
    match url.rsplit_once('/').map_or("", |(_, end)| end) {
        "moved" => response(302, &[("location", "/there")], &[]),
        "denied" => {
            err(Val::Variant("denied".to_owned(), Some(Box::new(text("`outbound` does not grant it")))))
        }
        "rates" => response(200, &[("content-type", "application/json")], br#"{"eur":1.25}"#),
        "slow" => err(Val::Variant("timed-out".to_owned(), None)),
        _ => {
            let sent = format!("{method} {url} {}", String::from_utf8_lossy(&body));
            response(200, &[("content-type", "text/plain")], sent.as_bytes())
        }
    }
}
