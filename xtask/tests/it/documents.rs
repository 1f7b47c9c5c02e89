//! The examples in the documents are those of the program.

use domain::Manifest;

use crate::tree;

/// The blocks of a language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

fn read(path: &str) -> String {
    tree::read(&tree::root().join(path))
}

#[test]
fn every_manifest_in_the_documents_is_a_valid_one() {
    let page = read("docs/serverless.md");
    let manifests: Vec<_> = blocks(&page, "yaml").into_iter().filter(|block| block.starts_with("name:")).collect();
    assert!(!manifests.is_empty());
    for manifest in manifests {
        Manifest::parse(manifest).unwrap_or_else(|wrong| panic!("{wrong} in\n{manifest}"));
    }
}

#[test]
fn the_handler_in_the_documents_is_the_one_that_init_writes() {
    let (page, template) = (read("docs/serverless.md"), read("cli/src/templates/function.go"));
    assert!(blocks(&page, "go").contains(&template.as_str()), "docs/serverless.md shows another handler");
}
