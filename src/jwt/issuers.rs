#![doc = include_str!("issuers.md")]
