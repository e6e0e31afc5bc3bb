//! What the host keeps beside one instance.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p1::WasiP1Ctx};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{call::Call, clocks, limits::Meter, outbound::Outbound, output::Current};

/// The most handles that one instance may hold at once.
const HANDLES: usize = 4096;

/// The data of a store: everything that host functions know about the instance that calls them.
pub(crate) struct Guest {
    /// The call being served.
    pub(crate) call: Arc<Call>,
    /// Handles that the guest holds.
    pub(crate) table: ResourceTable,
    /// For `wasi:http`.
    pub(crate) http: WasiHttpCtx,
    /// The way to the outside.
    pub(crate) outbound: Outbound,
    /// Counts memory and tables.
    pub(crate) meter: Meter,
    /// For commands only.
    pub(crate) command: Option<Box<WasiP1Ctx>>,
    wasi: Option<Box<WasiCtx>>,
    current: Option<Current>,
}

impl Guest {
    /// For an instance that begins with `call`.
    pub(crate) fn new(call: Arc<Call>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self {
            table,
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(&call),
            meter: Meter::new(call.limits().memory),
            command: None,
            wasi: None,
            current: None,
            call,
        }
    }

    /// Turns to another call, for instances that answer several.
    pub(crate) fn turn_to(&mut self, call: Arc<Call>) {
        self.outbound = Outbound::new(&call);
        if let Some(current) = &self.current {
            current.set(Arc::clone(&call));
        }
        self.call = call;
    }
}

impl WasiView for Guest {
    // Made at first use: most guests of our own interfaces never ask for it.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (call, current) = (&self.call, &mut self.current);
        let ctx = self.wasi.get_or_insert_with(|| {
            let current = current.insert(Current::new(Arc::clone(call)));
            let mut wasi = WasiCtx::builder();
            wasi.stdout(current.stdout()).stderr(current.stderr());
            clocks::coarse(&mut wasi);
            for (name, value) in &call.visit.deployed.settings.variables {
                wasi.env(name, value);
            }
            Box::new(wasi.build())
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}
