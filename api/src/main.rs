mod config;
fn main() {
    let _ = config::Config::of_process(config::Needs::MasterKey);
}
