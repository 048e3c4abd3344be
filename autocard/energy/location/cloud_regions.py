"""Regions of clouds → the country of their machines, and in the United States the state.

Source: the providers' lists of regions ("AWS Regions and Availability Zones", "Azure regions
list"). Google's regions are in CodeCarbon's own table, with the intensity that Google states for
each (`intensity.of_cloud`). Other countries' provinces are left out: CodeCarbon's figures for them
count the burning of fuels only.
"""

from __future__ import annotations

_AWS = """
us-east-1 USA Virginia; us-east-2 USA Ohio; us-west-1 USA California; us-west-2 USA Oregon;
us-gov-east-1 USA Ohio; us-gov-west-1 USA Oregon; ca-central-1 CAN; ca-west-1 CAN;
mx-central-1 MEX; sa-east-1 BRA; eu-west-1 IRL; eu-west-2 GBR; eu-west-3 FRA; eu-central-1 DEU;
eu-central-2 CHE; eu-north-1 SWE; eu-south-1 ITA; eu-south-2 ESP; il-central-1 ISR;
me-south-1 BHR; me-central-1 ARE; af-south-1 ZAF; ap-south-1 IND; ap-south-2 IND; ap-east-1 HKG;
ap-east-2 TWN; ap-northeast-1 JPN; ap-northeast-2 KOR; ap-northeast-3 JPN; ap-southeast-1 SGP;
ap-southeast-2 AUS; ap-southeast-3 IDN; ap-southeast-4 AUS; ap-southeast-5 MYS;
ap-southeast-6 NZL; ap-southeast-7 THA; cn-north-1 CHN; cn-northwest-1 CHN
"""

_AZURE = """
eastus USA Virginia; eastus2 USA Virginia; centralus USA Iowa; northcentralus USA Illinois;
southcentralus USA Texas; westcentralus USA Wyoming; westus USA California;
westus2 USA Washington; westus3 USA Arizona; canadacentral CAN; canadaeast CAN; mexicocentral MEX;
brazilsouth BRA; brazilsoutheast BRA; chilecentral CHL; northeurope IRL; westeurope NLD;
uksouth GBR; ukwest GBR; francecentral FRA; francesouth FRA; germanywestcentral DEU;
germanynorth DEU; switzerlandnorth CHE; switzerlandwest CHE; swedencentral SWE; norwayeast NOR;
norwaywest NOR; polandcentral POL; italynorth ITA; spaincentral ESP; austriaeast AUT;
israelcentral ISR; qatarcentral QAT; uaenorth ARE; uaecentral ARE; southafricanorth ZAF;
southafricawest ZAF; centralindia IND; southindia IND; westindia IND; eastasia HKG;
southeastasia SGP; japaneast JPN; japanwest JPN; koreacentral KOR; koreasouth KOR;
australiaeast AUS; australiasoutheast AUS; australiacentral AUS; newzealandnorth NZL;
indonesiacentral IDN; malaysiawest MYS
"""


def _read(table: str) -> dict[str, tuple[str, str | None]]:
    rows = (row.split() for row in table.split(";"))
    return {row[0]: (row[1], row[2] if len(row) > 2 else None) for row in rows}  # noqa: PLR2004 - region, country, state


COUNTRIES = {"aws": _read(_AWS), "azure": _read(_AZURE)}
"""Provider → region → country (ISO 3166-1 alpha-3) and state."""
