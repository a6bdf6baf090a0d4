//! Harms one job of a run: `SABOTAGE` says how, `VICTIM` is the job's id.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use std::{env, hint};

fn main() {
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    println!("cargo:rustc-check-cfg=cfg(does_not_compile, fails_to_import)");
    if is_victim(&variable("VICTIM")) {
        harm(&variable("SABOTAGE"));
    }
}

/// `job` is such as cp311-manylinux_2_28_x86_64, Python is /opt/python/cp311-cp311/bin/python.
fn is_victim(job: &str) -> bool {
    let python = variable("PYO3_PYTHON");
    let tag = python.split(['/', '-']).find(|part| part.starts_with("cp3")).unwrap();
    job.starts_with(&format!("{tag}-")) && job.ends_with(&variable("CARGO_CFG_TARGET_ARCH"))
}

fn harm(how: &str) {
    match how {
        "compile" => println!("cargo:rustc-cfg=does_not_compile"),
        "import" => println!("cargo:rustc-cfg=fails_to_import"),
        "panic" => panic!("sabotaged"),
        "kill" => {
            let cargo = parent_id().to_string();
            Command::new("sh").args(["-c", &format!("kill -KILL {cargo}")]).status().unwrap();
            sleep(Duration::from_secs(600));
        }
        "memory" => {
            hint::black_box(vec![1_u8; 2 << 30]);
        }
        "room" => {
            let mut filler = File::create(Path::new(&variable("OUT_DIR")).join("filler")).unwrap();
            filler.write_all(&vec![1; 50 << 20]).unwrap();
            let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            full.write_all(b"1").unwrap();
        }
        "long" => sleep(Duration::from_secs(600)),
        "wait" => sleep(Duration::from_secs(5)),
        _ => (),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
