use orama_fn::{Context, Error};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Input {
    name: Option<String>,
}

#[derive(Serialize)]
struct Output {
    result: String,
    visits: i64,
}

#[orama_fn::handler]
fn handle(ctx: Context, input: Input) -> Result<Output, Error> {
    let name = input.name.unwrap_or_else(|| "World".to_owned());
    ctx.log.info(&format!("called by {}", ctx.wallet()));
    Ok(Output { result: format!("Hello, {name}!"), visits: ctx.cache.add("visits", 1) })
}
