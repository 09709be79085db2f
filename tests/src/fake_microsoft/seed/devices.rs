//! Devices that Intune manages.

use uuid::Uuid;

use crate::fake_microsoft::directory::{
    Directory,
    entity::{Entity, Fragment, quoted},
    schemas,
};

/// Generates so many devices.
pub fn generate(directory: &mut Directory, count: usize) {
    let shared = Shared::new();
    for number in 0..count {
        let id = directory.random.uuid();
        let dice = directory.random.next();
        let users = directory.users.rows.len();
        let owner = (users > 0).then(|| &directory.users.rows[(number * 7 + 3) % users].entity);
        let values = values(&shared, number, id, dice, owner);
        let entity = Entity::new(&schemas::MANAGED_DEVICE, values);
        directory.managed_devices.insert(id, entity);
    }
}

/// Values that many devices share.
struct Shared {
    empty: Fragment,
    yes: Fragment,
    no: Fragment,
    null: Fragment,
    systems: Vec<(Fragment, Fragment, Fragment, Fragment)>,
    compliance: Vec<Fragment>,
    owners: Vec<Fragment>,
    agents: Vec<Fragment>,
    enrolments: Vec<Fragment>,
    jail: Vec<Fragment>,
    threats: Vec<Fragment>,
    zero_id: Fragment,
    zero_date: Fragment,
    last_date: Fragment,
}

impl Shared {
    fn new() -> Self {
        let all = |texts: &[&str]| texts.iter().map(|text| quoted(text)).collect();
        let system = |name, version, maker, model| {
            (quoted(name), quoted(version), quoted(maker), quoted(model))
        };
        Self {
            empty: quoted(""),
            yes: "true".into(),
            no: "false".into(),
            null: "null".into(),
            systems: vec![
                system(
                    "Windows",
                    "10.0.22621.3447",
                    "Microsoft Corporation",
                    "Surface Laptop 5",
                ),
                system("iOS", "17.4.1", "Apple", "iPhone 15"),
                system("Windows", "10.0.19045.4291", "LENOVO", "20W000AAGE"),
                system("Android", "14.0", "samsung", "SM-S911B"),
                system("macOS", "14.4.1 (23E224)", "Apple", ""),
            ],
            compliance: all(&[
                "compliant",
                "noncompliant",
                "inGracePeriod",
                "unknown",
                "configManager",
                "futureState",
            ]),
            owners: all(&["company", "personal", "unknown"]),
            agents: all(&["mdm", "intuneAosp", "configurationManagerClientMdm", "eas"]),
            enrolments: all(&[
                "windowsAzureADJoin",
                "appleBulkWithUser",
                "androidAOSPUserOwnedDeviceEnrollment",
            ]),
            jail: all(&["Unknown", "False", "True"]),
            threats: all(&["unknown", "activated", "secured"]),
            zero_id: quoted("00000000-0000-0000-0000-000000000000"),
            zero_date: quoted("0001-01-01T00:00:00Z"),
            last_date: quoted("9999-12-31T23:59:59.9999999Z"),
        }
    }
}

/// The values of a device, in the order of the schema.
fn values(
    shared: &Shared,
    number: usize,
    id: Uuid,
    dice: u64,
    owner: Option<&Entity>,
) -> Vec<Option<Fragment>> {
    let some = |value: &Fragment| Some(value.clone());
    let pick = |list: &[Fragment]| list.get(number % list.len()).cloned();
    let (system, version, maker, model) = &shared.systems[number % 5];
    // One device in twelve belongs to nobody: Intune then says so with empty texts.
    let owner = owner.filter(|_| !number.is_multiple_of(12));
    let of_owner = |column: usize| {
        let json = owner.map_or("\"\"", |owner| owner.get(column).unwrap_or("null"));
        Some(Fragment::from(json))
    };
    let (month, day) = (1 + dice % 12, 1 + dice / 12 % 28);
    let total = 128_000_000_000 + dice % 900_000_000_000;
    vec![
        Some(quoted(&id.to_string())),
        Some(quoted(&format!(
            "{}-{number}",
            if number.is_multiple_of(3) {
                "DESKTOP"
            } else {
                "Gerät"
            }
        ))),
        of_owner(0),
        of_owner(2),
        some(system),
        some(version),
        if number % 10 < 6 {
            some(&shared.compliance[0])
        } else {
            pick(&shared.compliance)
        },
        some(if number % 3 == 1 {
            &shared.no
        } else {
            &shared.yes
        }),
        pick(&shared.jail),
        pick(&shared.agents),
        pick(&shared.owners),
        pick(&shared.enrolments),
        Some(quoted(&format!(
            "2025-{month:02}-{day:02}T14:13:19.376941Z"
        ))),
        match number % 20 {
            4 => some(&shared.zero_date),
            _ => Some(quoted(&format!(
                "2026-{month:02}-{day:02}T03:45:42.4309247Z"
            ))),
        },
        some(maker),
        some(model),
        match number % 25 {
            3 => Some(quoted("0")),
            4 => some(&shared.empty),
            _ => Some(quoted(&format!("{dice:016X}"))),
        },
        match number % 15 {
            2 => some(&shared.zero_id),
            _ => Some(quoted(
                &Uuid::from_u64_pair(dice, dice.rotate_left(17)).to_string(),
            )),
        },
        match number % 7 {
            3 => some(&shared.null),
            _ => some(&shared.yes),
        },
        Some(total.to_string().into()),
        Some((total / 3).to_string().into()),
        some(&shared.last_date),
        pick(&shared.threats),
        of_owner(3),
        of_owner(1),
        some(&shared.no),
        some(&shared.null),
    ]
}
