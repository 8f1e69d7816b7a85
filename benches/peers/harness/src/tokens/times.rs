use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use tokio::runtime::Runtime;
use tower::Service;

use super::{
    bearer, first_admitted,
    issuer::Issuer,
    keys::{Key, Keys},
    panic_message, request,
    token::Token,
};
use crate::{BATCH, Lines, ROUNDS, medians, prepared, requests};

/// Prints the times of tokens of each algorithm: those that the peer has not seen before, and one that it has.
pub(super) fn print<B, R, S, F, Q>(
    lines: &Lines,
    keys: &Keys,
    runtime: &Runtime,
    bare: F,
    make: &impl AsyncFn(&Issuer) -> Result<S, String>,
) where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
    F: Service<Request<B>, Response = Response<Q>, Error: fmt::Debug> + Clone,
{
    for key in [&keys.rs256, &keys.es256, &keys.eddsa] {
        let paths = [format!("{}, first use", key.algorithm()), format!("{}, used before", key.algorithm())];
        let measured = AssertUnwindSafe(|| measure(keys, key, runtime, bare.clone(), make));
        let measured = catch_unwind(measured).unwrap_or_else(|panic| Err(panic_message(&*panic)));
        match measured {
            Ok([bare, signature, first, again]) => {
                let floor = "the signature alone and the bare service";
                lines.time(&paths[0], first, floor, bare + signature);
                lines.time(&paths[1], again, "the bare service", bare);
            }
            Err(error) => paths.iter().for_each(|path| lines.error("time", path, &error)),
        }
    }
}

/// The medians of the bare service, the signature alone, tokens that are presented once, and one that is presented again.
fn measure<B, R, S, F, Q>(
    keys: &Keys,
    key: &Key,
    runtime: &Runtime,
    bare: F,
    make: &impl AsyncFn(&Issuer) -> Result<S, String>,
) -> Result<[f64; 4], String>
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
    F: Service<Request<B>, Response = Response<Q>, Error: fmt::Debug> + Clone,
{
    let issuer = Issuer::start(keys.jwks());
    let token = || Token::new(&issuer.name()).sign(key);
    let service = runtime.block_on(make(&issuer))?;
    let again = token();
    match runtime.block_on(first_admitted(&service, &bearer(&again)))? {
        200 => {}
        status => return Err(format!("{status} for a valid token")),
    }
    // One round more than is counted, to warm up.
    let tokens: Vec<_> = (0..(ROUNDS + 1) * BATCH).map(|_| token()).collect();
    let mut first = tokens.iter().map(|token| field(token));
    let mut signatures = tokens.iter();
    let (verify, again) = (key.verifier(), field(&again));
    Ok(medians(
        ROUNDS,
        [
            requests(runtime, || with(again.clone()), bare),
            prepared(
                move || signatures.next().expect("there is one for each operation"),
                move |token| assert!(verify(token), "the token was signed with the key"),
            ),
            requests(runtime, move || with(first.next().expect("there is one for each request")), service.clone()),
            requests(runtime, || with(again.clone()), service),
        ],
    ))
}

fn field(token: &str) -> HeaderValue {
    HeaderValue::try_from(bearer(token)).expect("a token is text")
}

fn with<B: Default>(authorization: HeaderValue) -> Request<B> {
    let mut request = request(None);
    request.headers_mut().insert(AUTHORIZATION, authorization);
    request
}
