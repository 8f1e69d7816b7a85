#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    tower_warden_fuzz::challenge::run(input);
});
