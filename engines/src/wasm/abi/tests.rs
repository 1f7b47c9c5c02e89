use std::sync::Arc;

use domain::Namespace;
use ports::memory::{MemoryCaches, ScriptedDatabases, TestServices};
use ports::{Caches, Databases};
use wasmtime::{Engine, ExternType, Instance, Module, Store};

use super::*;
use crate::wasm::run::tests::{idle_state, state_with};
use crate::wasm::{link, settings};

#[test]
fn every_call_links_under_every_name_with_the_type_of_the_table() {
    let engine = Engine::new(&settings::for_compiling()).expect("an engine");
    let linker = link::linker(&engine).expect("a linker");
    let mut store = Store::new(&engine, idle_state());
    for module in MODULES {
        for call in CALLS {
            let linked = linker
                .get(&mut store, module, call.name)
                .unwrap_or_else(|_| panic!("{module}.{} is missing", call.name));
            let ExternType::Func(ty) = linked.ty(&store) else { panic!("{} is no function", call.name) };
            let want = FuncType::new(&engine, call.params(), call.results());
            assert!(FuncType::eq(&ty, &want), "{}: {ty} instead of {want}", call.name);
        }
    }
}

/// The bytes that lie outside of one page, in every way.
const OUTSIDE: [(u32, u32); 8] = [
    (65_537, 0),
    (65_535, 2),
    (0, 65_537),
    (u32::MAX, 1),
    (u32::MAX, u32::MAX),
    (0xffff_fff0, 0x20),
    (1 << 31, 1 << 31),
    (0, u32::MAX),
];

/// An instance that passes its arguments on to every call of the table.
async fn forwarding(services: &TestServices) -> (Store<State>, Instance) {
    let mut imports = String::new();
    let mut forwards = String::new();
    for call in CALLS {
        let types = |types: Vec<ValType>| types.iter().map(|ty| format!(" {ty}")).collect::<String>();
        let (params, results) = (types(call.params()), types(call.results()));
        let name = call.name;
        let locals: String = (0..call.params().len()).map(|local| format!(" (local.get {local})")).collect();
        imports += &format!("(import \"env\" \"{name}\" (func ${name} (param{params}) (result{results})))\n");
        forwards += &format!("(func (export \"{name}\") (param{params}) (result{results}) (call ${name}{locals}))\n");
    }
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1)
           (func (export \"malloc\") (param i32) (result i32) (i32.const 4096)) {forwards})"
    );
    let engine = Engine::new(&settings::for_compiling()).expect("an engine");
    let module = Module::new(&engine, wat::parse_str(text).expect("it assembles")).expect("it compiles");
    let mut store = Store::new(&engine, state_with(services));
    store.set_epoch_deadline(1);
    let linker = link::linker(&engine).expect("a linker");
    let instance = linker.instantiate_async(&mut store, &module).await.expect("an instance");
    store.data_mut().memory = instance.get_memory(&mut store, "memory");
    (store, instance)
}

/// Harmless values for the parameters of `call`; where its pairs stand among them.
fn values_of(call: &HostCall) -> (Vec<Val>, Vec<usize>) {
    let (mut values, mut pairs) = (Vec::new(), Vec::new());
    for param in call.params {
        match param {
            Param::I32 => values.push(Val::I32(200)),
            Param::I64 => values.push(Val::I64(1)),
            _ => {
                pairs.push(values.len());
                values.extend([Val::I32(16), Val::I32(0)]);
            }
        }
    }
    (values, pairs)
}

#[tokio::test]
async fn a_pair_outside_the_memory_fails_every_call_and_reaches_no_service() {
    let (databases, home) = (Arc::new(ScriptedDatabases::new()), Namespace::default_namespace());
    let services = TestServices::new(databases.of(&home), MemoryCaches::default().of(&home));
    let (mut store, instance) = forwarding(&services).await;
    let mut tried = 0;
    for call in CALLS.iter().filter(|call| !matches!(call.run, Run::Absent(_) | Run::ByHand)) {
        let function = instance.get_func(&mut store, call.name).expect("exported");
        let (values, pairs) = values_of(call);
        for pair in pairs {
            for (pointer, length) in OUTSIDE {
                let mut values = values.clone();
                values[pair] = Val::I32(pointer as i32);
                values[pair + 1] = Val::I32(length as i32);
                let mut results = vec![Val::I64(1); call.results().len()];
                function.call_async(&mut store, &values, &mut results).await.expect("no trap");
                let zero = results.iter().all(|result| matches!(result, Val::I32(0) | Val::I64(0)));
                assert!(zero, "{} answers {results:?} for ({pointer}, {length})", call.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert!(databases.asked().is_empty());
    assert_eq!(store.data().host.services.cache.usage().await.expect("there is one").entries, 0);
}

#[tokio::test]
async fn an_absent_service_answers_its_failure_value_to_everything() {
    let (mut store, instance) = forwarding(&TestServices::default()).await;
    for call in CALLS {
        let Run::Absent(answer) = call.run else { continue };
        let function = instance.get_func(&mut store, call.name).expect("exported");
        let mut results = vec![Val::I64(1); call.results().len()];
        function.call_async(&mut store, &values_of(call).0, &mut results).await.expect("no trap");
        let number = results.first().map(|result| result.i64().unwrap_or_else(|| result.unwrap_i32().into()));
        let want = if answer.is_empty() { 0 } else { 4096 << 32 | answer.len() as i64 };
        assert_eq!(number, Some(want), "{}", call.name);
    }
}

#[tokio::test]
async fn nothing_at_the_very_end_is_inside() {
    let (mut store, instance) = forwarding(&TestServices::default()).await;
    let log = instance.get_typed_func::<(u32, u32), ()>(&mut store, "log_info").expect("exported");
    for (pointer, length) in [(65_536, 0), (0, 65_536), (0, 0), (65_537, 0)] {
        log.call_async(&mut store, (pointer, length)).await.expect("no trap");
    }
    let lengths: Vec<_> = store.data().observed.take().logs.iter().map(|line| line.message.len()).collect();
    assert_eq!(lengths[..2], [0, (16 << 10) + " … [truncated]".len()]);
    assert_eq!(lengths.len(), 3);
}

#[test]
fn the_reference_page_is_up_to_date() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/host-api.md");
    expect_test::expect_file![page].assert_eq(&host_api_reference());
}

#[test]
fn a_slip_in_a_name_finds_the_call() {
    assert_eq!(nearest("get_evn"), Some("get_env"));
}
