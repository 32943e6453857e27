//! `cargo xtask audit`: what may be depended on.
//!
//! It is not cargo-deny, which takes minutes to install on a bare machine, and of which only these
//! checks would run: its advisories come from the network. Look those up with `cargo deny check
//! advisories` or `cargo audit` before a release.

use std::collections::BTreeMap;

use spdx::{Expression, LicenseReq, ParseMode};

use crate::{
    Result,
    workspace::{Package, metadata},
};

/// Licences that ask for no more than their text.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The only place that packages come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What must not come in, not even through others: one TLS, rustls over ring, is enough, and these
/// need a C tool chain or a system library.
const BANNED: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
];

/// What may be there in one version only: two of them would not speak to one another, or cost
/// minutes of compiling.
const ONCE: [&str; 12] = [
    "actix-http",
    "apalis-core",
    "hyper",
    "libsqlite3-sys",
    "redis",
    "regex",
    "reqwest",
    "ring",
    "rustls",
    "serde",
    "sqlx-core",
    "tokio",
];

/// Checks every package of Cargo.lock.
pub(crate) fn run() -> Result<()> {
    let packages = metadata()?.packages;
    let wrong = faults(&packages)?;
    if wrong.is_empty() {
        println!("{} packages: licences and sources are good", packages.len());
        return Ok(());
    }
    Err(wrong.join("\n").into())
}

fn faults(packages: &[Package]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, .. } = package;
        versions.entry(name).or_default().push(version);
        if let Some(source) = package.source.as_deref()
            && source != REGISTRY
        {
            wrong.push(format!("{name} {version} comes from {source}"));
        }
        if !has_good_licence(package)? {
            let licence = package.license.as_deref().unwrap_or("not stated");
            wrong.push(format!("{name} {version} has the licence: {licence}"));
        }
        if BANNED.contains(&name.as_str()) {
            wrong.push(format!("{name} {version} is banned"));
        }
    }
    for name in ONCE {
        if let Some(found) = versions.get(name)
            && found.len() > 1
        {
            wrong.push(format!("{name} is there in versions {}", found.join(", ")));
        }
    }
    Ok(wrong)
}

fn has_good_licence(package: &Package) -> Result<bool> {
    let Some(licence) = &package.license else {
        return Ok(false);
    };
    // Lax: older packages write "MIT/Apache-2.0".
    let expression = Expression::parse_mode(licence, ParseMode::LAX)
        .map_err(|error| format!("{}: {licence}: {error}", package.name))?;
    Ok(expression.evaluate(is_good))
}

/// An exception only ever permits more.
fn is_good(required: &LicenseReq) -> bool {
    required
        .license
        .id()
        .is_some_and(|id| LICENCES.contains(&id.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, licence: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: licence.map(str::to_owned),
            source: source.map(str::to_owned),
        }
    }

    #[test]
    fn good_packages_have_no_fault() {
        let packages = [
            package("own", Some("MIT OR Apache-2.0"), None),
            package("old", Some("MIT/Apache-2.0"), Some(REGISTRY)),
            package("choice", Some("GPL-3.0-only OR ISC"), Some(REGISTRY)),
            package(
                "exception",
                Some("Apache-2.0 WITH LLVM-exception"),
                Some(REGISTRY),
            ),
        ];
        assert_eq!(faults(&packages).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn each_fault_names_its_package() {
        for (bad, named) in [
            (package("a", Some("GPL-3.0-only"), None), "GPL-3.0-only"),
            (package("a", Some("MIT AND AGPL-3.0-only"), None), "AGPL"),
            (package("a", None, None), "not stated"),
            (package("a", Some("MIT"), Some("git+https://x")), "git+"),
            (package("openssl-sys", Some("MIT"), None), "banned"),
        ] {
            let wrong = faults(&[bad]).unwrap();
            assert!(wrong[0].contains(named), "{wrong:?}");
        }
    }

    #[test]
    fn two_versions_of_what_is_there_once_are_a_fault() {
        let twice = [
            package("tokio", Some("MIT"), None),
            package("tokio", Some("MIT"), None),
        ];
        assert!(faults(&twice).unwrap()[0].contains("tokio"));
    }
}
