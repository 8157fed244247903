//! Lists the manifests of `apps/`, so that a new application is a new file and nothing else; makes the checked-in schemas short.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("apps");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut list = String::from("&[\n");
    for path in &files {
        let name = path.file_name().unwrap_or_default();
        list.push_str(&format!("    ({name:?}, include_str!({path:?})),\n"));
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("apps.rs"), list)?;
    schemas()
}

/// The schemas that tests keep equal to the types, without their white space. One that is not at hand, as in the package alone, is
/// empty: then the program makes it from the types.
fn schemas() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../docs/schema");
    for name in ["manifest-1.json", "operations-1.json", "project-1.json"] {
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (mut short, mut quoted, mut escaped) = (String::with_capacity(text.len()), false, false);
        for c in text.chars() {
            if quoted || !c.is_whitespace() {
                short.push(c);
            }
            quoted ^= c == '"' && !escaped;
            escaped = quoted && c == '\\' && !escaped;
        }
        fs::write(Path::new(&env::var("OUT_DIR")?).join(name), short)?;
    }
    Ok(())
}
