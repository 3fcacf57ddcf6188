//! Compiles the definitions of gRPC protocols. Protox reads them, so that no protoc has to be there.

use std::path::PathBuf;

const DEFINITION: &str = "proto/inference.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={DEFINITION}");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_file("inference.proto")?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("Cargo sets OUT_DIR")?);
    // for reflection
    std::fs::write(out.join("inference.descriptors"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        // tensors stay where they were received
        .bytes(".inference")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
