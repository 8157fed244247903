//! Opens every case, says where in one line of JSON, and ends with its input. `CASE=<part of an id>` chooses some.
#![allow(clippy::print_stdout)]

fn main() -> Result<(), smalt_faults::Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let places = runtime.block_on(smalt_faults::open(&std::env::var("CASE").unwrap_or_default()))?;
    let described = places.iter().map(|place| place.described()).collect::<Result<Vec<_>, _>>()?;
    println!("{}", serde_json::to_string(&described)?);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    // What still trickles needs no goodbye.
    std::process::exit(0)
}
