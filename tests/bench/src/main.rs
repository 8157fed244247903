//! `make bench`: ratios against named peers that do the same work in the same run, medians of interleaved rounds.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)] // a measurement that cannot be made ends the run

mod ahead;
mod budgets;
mod http;
mod provider;
mod ready;
mod remote;
mod report;
mod scale;
mod steady;
mod writes;

/// How much is done: less of it where `SMALT_BENCH_SMALL` is set, to see whether it runs. Its figures say nothing.
pub fn small(full: usize, small: usize) -> usize {
    if std::env::var_os("SMALT_BENCH_SMALL").is_some() { small } else { full }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A child that serves a seeded store, so that its memory is its own.
    if let [role, path, accounts] = &arguments[..]
        && let Some(reading) = role.strip_prefix("serve-")
    {
        runtime.block_on(scale::serve(reading, path, accounts.parse().unwrap()));
        return;
    }
    if let [role, path, end] = &arguments[..]
        && end.is_empty()
        && role.starts_with("http-")
    {
        match role.as_str() {
            "http-ours" => runtime.block_on(http::serve_ours(path, http::Sort::Usual)),
            "http-cold" => runtime.block_on(http::serve_ours(path, http::Sort::Cold)),
            "http-limited" => runtime.block_on(http::serve_ours(path, http::Sort::Limited)),
            "http-generator" => runtime.block_on(http::generate(path)),
            _ => runtime.block_on(http::serve_peer(path)),
        }
        return;
    }
    if let [role, address, end] = &arguments[..]
        && end.is_empty()
        && role.starts_with("remote-")
    {
        match role.as_str() {
            "remote-silence" => runtime.block_on(remote::serve_silence()),
            role => runtime.block_on(remote::wait(role, address)),
        }
        return;
    }
    if arguments.first().is_some_and(|role| role == "provide") {
        runtime.block_on(provider::provide());
        return;
    }
    // Names choose some of the benches; none means all. `http-` and `remote-` with more behind them is one row of those.
    let of = |name: &str, argument: &str| argument.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let row = |id: &str| arguments.is_empty() || arguments.iter().any(|argument| of(argument, id));
    let wanted = |name: &str, about: &str| {
        let wanted = arguments.is_empty() || arguments.iter().any(|argument| of(name, argument));
        if wanted {
            println!("{name}: {about} …");
        }
        wanted
    };
    let mut rows = Vec::new();
    if wanted("writes", "durable writes from 64 tasks") {
        rows.push(runtime.block_on(writes::measure()));
    }
    if wanted("ready", "credentials from memory") {
        rows.push(runtime.block_on(ready::measure()));
    }
    if wanted("ahead", "10,000 tokens that end together, renewed ahead") {
        rows.extend(runtime.block_on(ahead::measure()));
    }
    if wanted("steady", "others beside a dead provider, starts among abandoned flows") {
        rows.extend(runtime.block_on(steady::measure()));
    }
    if wanted("http", "the HTTP API beside axum routes, callbacks, stalled clients") {
        rows.extend(runtime.block_on(http::measure(&row)));
    }
    if wanted("overload", "three times what the HTTP API bears, and after it") {
        rows.extend(runtime.block_on(http::measure_overload()));
    }
    if wanted("remote", "the remote backend beside reqwest, and 10,000 waiting calls") {
        rows.extend(runtime.block_on(http::measure_remote(&row)));
    }
    if wanted("scale", "cold reads at 10^3 and 10^6 accounts; seeding takes some minutes") {
        rows.extend(runtime.block_on(scale::measure()));
    }
    if wanted("budgets", "size and crates of the command, and its lint") {
        rows.extend(budgets::measure());
    }
    report::publish(&rows).unwrap();
}
