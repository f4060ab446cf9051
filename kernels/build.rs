//! With the feature `cuda`: compiles `cuda/*.cu` into one image a file that holds machine
//! code for the GPUs named below and PTX for later ones.
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sources, each a module of its own.
const SOURCES: [&str; 6] = ["attention", "cache", "coded", "logits", "product", "row"];

/// Ampere (bf16 tensor cores are its first) and Hopper (whose kernels begin before the
/// last one's end); newer ones compile the PTX when the program starts.
const TARGETS: [&str; 3] = [
    "arch=compute_80,code=sm_80",
    "arch=compute_90,code=sm_90",
    "arch=compute_90,code=compute_90",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for header in ["common", "product"] {
        println!("cargo::rerun-if-changed=cuda/{header}.cuh");
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed=cuda/{source}.cu");
    }
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let nvcc = nvcc();
    for source in SOURCES {
        let mut command = Command::new(&nvcc);
        command.args(["-std=c++17", "-O3", "--use_fast_math", "-fatbin"]);
        for target in TARGETS {
            command.args(["-gencode", target]);
        }
        command
            .arg("-o")
            .arg(out.join(format!("{source}.fatbin")))
            .arg(format!("cuda/{source}.cu"));
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => panic!("{} could not compile cuda/{source}.cu", nvcc.display()),
            Err(error) => panic!(
                "{} cannot be run ({error}): the feature `cuda` needs CUDA's compiler; \
                 install the toolkit, or run scripts/build-cuda, which brings one",
                nvcc.display()
            ),
        }
    }
}

fn nvcc() -> PathBuf {
    match std::env::var_os("CUDA_HOME") {
        Some(home) => Path::new(&home).join("bin/nvcc"),
        None => "nvcc".into(),
    }
}
