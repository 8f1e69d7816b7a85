#![no_main]

tower_warden_fuzz::fuzz!("token_bytes");
