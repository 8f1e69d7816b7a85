#![no_main]

tower_warden_fuzz::fuzz!("api_key");
