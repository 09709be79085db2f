//! What people call a product: the name for a `skuId`.
//!
//! `/subscribedSkus` names a product only by GUID and by a part number such as `SPB`. A name comes
//! from the operator's file in the format of Microsoft's list, else from the well-known products
//! below, else from the part number made readable. Names are looked up by GUID alone: one part number
//! can stand for two products.

mod file;

use uuid::Uuid;

pub use file::{LicenseNamesError, LicenseNamesFile, Names};

/// Well-known products that are bought by the seat, from Microsoft's page "Product names and service
/// plan identifiers for licensing", as of 2026.
fn product(sku_id: &str) -> Option<&'static str> {
    Some(match sku_id {
        "3b555118-da6a-4418-894f-7df1e2096870" => "Microsoft 365 Business Basic",
        "f245ecc8-75af-4f8e-b61f-27d8114de5f3" => "Microsoft 365 Business Standard",
        "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46" => "Microsoft 365 Business Premium",
        "cdd28e44-67e3-425e-be4c-737fab2899d3" => "Microsoft 365 Apps for Business",
        "c2273bd0-dff7-4215-9ef5-2c7bcfb06425" => "Microsoft 365 Apps for Enterprise",
        "18181a46-0d4e-45cd-891e-60aabd171b4e" => "Office 365 E1",
        "6fd2c87f-b296-42f0-b197-1e91e994b900" => "Office 365 E3",
        "c7df2760-2c81-4ef7-b578-5b5392b571df" => "Office 365 E5",
        "26d45bd9-adf1-46cd-a9e1-51e9a5524128" => "Office 365 E5 without Audio Conferencing",
        "4b585984-651b-448a-9e53-3b10f069cf7f" => "Office 365 F3",
        "05e9a617-0261-4cee-bb44-138d3ef5d965" => "Microsoft 365 E3",
        "06ebc4ee-1bb5-47dd-8120-11324bc54e06" => "Microsoft 365 E5",
        "66b55226-6b4f-492c-910c-a3b7a3c9d993" => "Microsoft 365 F3",
        "44575883-256e-4a79-9da4-ebe9acabe2b2" => "Microsoft 365 F1",
        "4b9405b0-7788-4568-add1-99614e613b69" => "Exchange Online (Plan 1)",
        "19ec0d23-8335-4cbd-94ac-6050e30712fa" => "Exchange Online (Plan 2)",
        "80b2d799-d2ba-4d2a-8842-fb0d0f3a4b82" => "Exchange Online Kiosk",
        "1fc08a02-8b3d-43b9-831e-f76859e04e1a" => "SharePoint Online (Plan 1)",
        "078d2b04-f1bd-4111-bbd4-b4b1b354cef4" => "Microsoft Entra ID P1",
        "84a661c4-e949-4bd2-a560-ed7766fcaf2b" => "Microsoft Entra ID P2",
        "efccb6f7-5641-4e0e-bd10-b4976e1bf68e" => "Enterprise Mobility + Security E3",
        "b05e124f-c7cc-45a0-a6aa-8cf78c946968" => "Enterprise Mobility + Security E5",
        "061f9ace-7d42-4136-88ac-31dc755f143f" => "Intune",
        "4ef96642-f096-40de-a3e9-d83fb2f90211" => "Microsoft Defender for Office 365 (Plan 1)",
        "3dd6cf57-d688-4eed-ba52-9e40b5468c3e" => "Microsoft Defender for Office 365 (Plan 2)",
        "111046dd-295b-4d6d-9724-d52ac90bd1f2" => "Microsoft Defender for Endpoint",
        "16a55f2f-ff35-4cd5-9146-fb784e3761a5" => "Microsoft Defender for Endpoint P1",
        "5e1e7702-a2b7-4360-8d07-2f515792896f" => "Microsoft Defender for Business",
        "26124093-3d78-432b-b5dc-48bf992543d5" => "Microsoft 365 E5 Security",
        "184efa21-98c3-4e5d-95ab-d07053a96e67" => "Microsoft 365 E5 Compliance",
        "f8a1db68-be16-40ed-86d5-cb42ce701560" => "Power BI Pro",
        "c5928f49-12ba-48f7-ada3-0d743a3601d5" => "Visio Plan 2",
        "e43b5b99-8dfb-405f-9987-dc307f34bcbd" => "Microsoft Teams Phone Standard",
        "0c266dff-15dd-4b49-8397-2bb16070ed52" => "Microsoft 365 Audio Conferencing",
        "440eaaa8-b3e0-484b-a8be-62870b9ba70a" => "Microsoft Teams Phone Resource Account",
        "4cde982a-ede4-4409-9ae6-b003453c8ea6" => "Microsoft Teams Rooms Pro",
        "639dec6b-bb19-468b-871c-c5c441c4b0cb" => "Microsoft Copilot for Microsoft 365",
        _ => return None,
    })
}

/// Products, from the same page, that are free or that people sign up for by themselves. Microsoft
/// shows 10,000 or 1,000,000 prepaid units of them.
fn free_product(sku_id: &str) -> Option<&'static str> {
    Some(match sku_id {
        "a403ebcc-fae0-4ca2-8c8c-7a907fd6c235" => "Microsoft Fabric (Free)",
        "f30db892-07e9-47e9-837c-80727f46fd3d" => "Microsoft Power Automate Free",
        "710779e8-3d4a-4c88-adb9-386c958d1fdf" => "Microsoft Teams Exploratory",
        "8c4ce438-32a7-4ac5-91a6-e22ae08d9c8b" => "Rights Management Adhoc",
        "1f2f344a-700d-42c9-9427-5cea1d5d7ba6" => "Microsoft Stream",
        "6470687e-a428-4b7a-bef2-8a291ad947c9" => "Windows Store for Business",
        _ => return None,
    })
}

/// Where a display name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The operator's file.
    File,
    /// The products that Tenantry knows.
    Embedded,
    /// The part number made readable: the product is in neither.
    SkuPartNumber,
    /// The GUID itself: not even a part number was given.
    SkuId,
}

impl Source {
    /// The word for it in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Embedded => "embedded",
            Self::SkuPartNumber => "skuPartNumber",
            Self::SkuId => "skuId",
        }
    }
}

/// The name to show for a product, and where it was found. `overrides` are the names of the
/// operator's file, empty when there is none.
pub fn display_name(sku_id: Uuid, sku_part_number: &str, overrides: &Names) -> (String, Source) {
    if let Some(name) = overrides.get(sku_id) {
        return (name.to_owned(), Source::File);
    }
    let id = sku_id.to_string();
    if let Some(name) = product(&id).or_else(|| free_product(&id)) {
        return (name.to_owned(), Source::Embedded);
    }
    match readable(sku_part_number) {
        name if name.is_empty() => (id, Source::SkuId),
        name => (name, Source::SkuPartNumber),
    }
}

/// Whether a product is known to be free or self-service, so that its units are no seats anyone
/// bought and do not belong in a total of seats.
pub fn is_free(sku_id: Uuid) -> bool {
    free_product(&sku_id.to_string()).is_some()
}

/// `Microsoft_Teams_Rooms_Pro` as one would write it. Capitals stay: they cannot be undone rightly.
fn readable(sku_part_number: &str) -> String {
    tidy(&sku_part_number.replace('_', " "))
}

/// The text with each run of blanks, tabs and non-breaking spaces as one space, none at the ends.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use uuid::uuid;

    use super::*;

    const SPB: Uuid = uuid!("cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46");
    const FLOW_FREE: Uuid = uuid!("f30db892-07e9-47e9-837c-80727f46fd3d");
    const UNKNOWN: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

    #[test]
    fn the_file_wins_over_the_embedded_name_and_that_over_the_part_number() {
        let text = format!("Product_Display_Name,GUID\nOur Premium,{SPB}\n");
        let file = Names::from_csv(text.as_bytes()).unwrap();
        assert_eq!(
            display_name(SPB, "SPB", &file),
            ("Our Premium".into(), Source::File)
        );
        assert_eq!(
            display_name(SPB, "SPB", &Names::default()),
            ("Microsoft 365 Business Premium".into(), Source::Embedded)
        );
        assert_eq!(
            display_name(UNKNOWN, "Contoso_Thing_ (no\u{a0}Teams)\t", &file),
            ("Contoso Thing (no Teams)".into(), Source::SkuPartNumber)
        );
    }

    #[test]
    fn a_product_without_any_name_is_shown_by_its_guid() {
        assert_eq!(
            display_name(UNKNOWN, " _\u{a0}", &Names::default()),
            (UNKNOWN.to_string(), Source::SkuId)
        );
    }

    #[test]
    fn free_products_are_told_from_bought_ones() {
        assert!(is_free(FLOW_FREE));
        assert!(!is_free(SPB));
        assert!(!is_free(UNKNOWN));
    }
}
