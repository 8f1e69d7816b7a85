//! Performs the grants and client authentications of the crate against oidc-provider, and uses the tokens at an API behind
//! the layers of `tower_warden`. Arguments: the command that starts `issuer.mjs`. Prints a line for each check.
#![expect(clippy::print_stdout, reason = "the output is for the script that runs it")]

use std::{env, process::ExitCode};

use tower_warden::fetch::HttpClient;
use tower_warden_interop::BoxError;

use self::{api::Api, certificates::Certificates, check::Checks, issuer::Issuer};

mod api;
mod api_client;
mod certificates;
mod check;
mod client_auth;
mod concurrency;
mod delegation;
mod dpop;
mod issuer;
mod mtls;
mod refresh;
mod scopes;

/// The servers that checks use.
struct World {
    api: Api,
    certificates: Certificates,
    issuer: Issuer,
}

/// The number of checks: one that is lost fails the run.
const CHECKS: usize = 19;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let command: Vec<_> = env::args().skip(1).collect();
    let folder = tempfile::tempdir()?;
    let certificates = Certificates::create(folder.path())?;
    let issuer = Issuer::start(&command, folder.path(), HttpClient::new()?).await?;
    let api = Api::start(&issuer, folder.path()).await?;
    let world = World { api, certificates, issuer };

    let mut checks = Checks::default();
    client_auth::run(&world, &mut checks).await;
    mtls::run(&world, &mut checks).await;
    refresh::run(&world, &mut checks).await;
    dpop::run(&world, &mut checks).await;
    scopes::run(&world, &mut checks).await;
    delegation::run(&world, &mut checks).await;
    concurrency::run(&world, &mut checks).await;
    println!("{} of {CHECKS} checks passed", checks.passed());
    Ok(if checks.passed() == CHECKS { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
