//! `devpocket-agent`: the command line. Arguments are read by hand, because a parser would be
//! a tenth of the binary.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use devpocket_agent::{VERSION, attach, install, run};

const USAGE: &str = "usage:
  devpocket-agent run --config FILE     hold the sessions of an environment
  devpocket-agent attach --socket PATH  join stdin and stdout to a running agent
  devpocket-agent install-to DIR        copy this binary to DIR
  devpocket-agent --version";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let path = || args.last().map(PathBuf::from).unwrap_or_default();
    let result = match words[..] {
        ["run", "--config", _] => run::run(&path()).map_err(|e| e.to_string()),
        ["attach", "--socket", _] => attach::attach(&path()).map_err(|e| e.to_string()),
        ["install-to", _] => install::install_to(&path()).map_err(|e| e.to_string()),
        ["--version"] => {
            println!("devpocket-agent {VERSION}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("devpocket-agent: {message}");
            ExitCode::FAILURE
        }
    }
}
