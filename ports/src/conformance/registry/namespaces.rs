//! Namespaces and their owners.

use domain::{Namespace, NamespaceSettings, Scope, Scopes};

use super::{at, namespace, new_namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{Owner, Registry};

pub(super) async fn namespaces(registry: &dyn Registry) {
    creation(registry).await;
    settings(registry).await;
    owners(registry).await;
    default_stays(registry).await;
}

pub(super) fn owner(ns: &str, wallet: &str, scope: Scope) -> Owner {
    Owner { namespace: namespace(ns), wallet: wallet.to_owned(), scopes: Scopes::of([scope]), added_at: at(5) }
}

async fn creation(registry: &dyn Registry) {
    let names = async || -> Vec<String> {
        let all = registry.load_namespaces().await.expect("load namespaces");
        all.into_iter().map(|stored| stored.name.to_string()).collect()
    };
    assert_eq!(names().await, ["default"], "`default` is always there");

    let limited = NamespaceSettings { functions_max: Some(3), ..NamespaceSettings::default() };
    let new = crate::StoredNamespace { settings: limited, ..new_namespace("shop") };
    registry.create_namespace(new.clone(), Some(owner("shop", "0xa", Scope::Admin))).await.expect("create");
    assert_eq!(names().await, ["default", "shop"]);
    let all = registry.load_namespaces().await.expect("load namespaces");
    assert!(all.contains(&new), "{all:?}");

    refused!(registry.create_namespace(new_namespace("default"), None), Conflict(_));
    let thief = Some(owner("shop", "0xthief", Scope::Admin));
    refused!(registry.create_namespace(new_namespace("shop"), thief), Conflict(_));
    let owners = registry.load_owners().await.expect("load owners");
    assert_eq!(owners, [owner("shop", "0xa", Scope::Admin)], "a refused creation leaves no owner");
    assert!(registry.load_namespaces().await.expect("load").contains(&new), "and changes no settings");
}

async fn settings(registry: &dyn Registry) {
    let settings = NamespaceSettings { storage_bytes_max: Some(u64::MAX), ..NamespaceSettings::default() };
    registry.set_namespace_settings(&namespace("shop"), &settings).await.expect("set");
    let all = registry.load_namespaces().await.expect("load namespaces");
    let of = |name: &str| all.iter().find(|stored| stored.name == namespace(name)).map(|stored| &stored.settings);
    assert_eq!(of("shop"), Some(&settings));
    assert_eq!(of("default"), Some(&NamespaceSettings::default()));
    refused!(registry.set_namespace_settings(&namespace("nowhere"), &settings), NotFound);
}

async fn owners(registry: &dyn Registry) {
    let (first, second) = (owner("shop", "0xa", Scope::Deploy), owner("shop", "0xb", Scope::Data));
    registry.put_owner(second.clone()).await.expect("add an owner");
    let later = Owner { added_at: at(99), ..first.clone() };
    registry.put_owner(later).await.expect("replace the scopes of an owner");
    assert_eq!(registry.load_owners().await.expect("load owners"), [first, second.clone()]);
    refused!(registry.put_owner(owner("nowhere", "0xa", Scope::Admin)), NotFound);

    refused!(registry.delete_owner(&Namespace::default_namespace(), "0xa"), NotFound);
    registry.delete_owner(&namespace("shop"), "0xa").await.expect("delete an owner");
    refused!(registry.delete_owner(&namespace("shop"), "0xa"), NotFound);
    assert_eq!(registry.load_owners().await.expect("load owners"), [second]);
}

async fn default_stays(registry: &dyn Registry) {
    let default = Namespace::default_namespace();
    refused!(registry.begin_end_of_namespace(&default), Conflict(_));
    refused!(registry.finish_end_of_namespace(&default), Conflict(_));
    refused!(registry.finish_end_of_namespace(&namespace("shop")), Conflict(_));
    refused!(registry.begin_end_of_namespace(&namespace("nowhere")), NotFound);
    refused!(registry.finish_end_of_namespace(&namespace("nowhere")), NotFound);
}
