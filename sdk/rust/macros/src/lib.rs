//! The attribute `#[orama_fn::handler]`.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function the handler of the program: adds a `main` that runs it once, on the input of the call.
///
/// The function takes a `Context` and a value that serde can read, and returns a `Result` of a value that serde can write.
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return refuse("`#[orama_fn::handler]` takes no arguments");
    }
    let Some(name) = name_of(&item) else { return refuse("`#[orama_fn::handler]` stands before a function") };
    let main: TokenStream =
        format!("fn main() {{ ::orama_fn::run({name}) }}").parse().expect("a function without arguments parses");
    [item, main].into_iter().collect()
}

/// The word behind the first `fn`.
fn name_of(item: &TokenStream) -> Option<String> {
    let mut tokens = item.clone().into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    }
}

fn refuse(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().expect("a macro call with a text parses")
}
