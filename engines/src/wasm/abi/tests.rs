use wasmtime::{Engine, ExternType, Store};

use super::*;
use crate::wasm::{link, settings};

#[test]
fn every_call_links_under_every_name_with_the_type_of_the_table() {
    let engine = Engine::new(&settings::for_compiling()).expect("an engine");
    let linker = link::linker(&engine).expect("a linker");
    let mut store = Store::new(&engine, crate::wasm::run::tests::idle_state());
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

#[test]
fn the_reference_page_is_up_to_date() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/host-api.md");
    expect_test::expect_file![page].assert_eq(&host_api_reference());
}

#[test]
fn a_slip_in_a_name_finds_the_call() {
    assert_eq!(nearest("get_evn"), Some("get_env"));
}
