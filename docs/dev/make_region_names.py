"""Write autocard/settings/region_names.json: English names of regions, from Unicode's CLDR.

`python docs/dev/make_region_names.py cldr/common/subdivisions/en.xml`. pycountry names regions as
ISO 3166-2 does, in the country's own language: Bayern. CLDR has what English texts call them.
Only names that differ are kept.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pycountry

from autocard.settings.countries import same_words
from autocard.settings.regions import NAMES_FILE, own_names

LICENSE = "Unicode-DFS-2016"
NOTICE = (
    "Copyright © 1991-2022 Unicode, Inc. All rights reserved. Distributed under the Terms of Use "
    "in https://www.unicode.org/copyright.html. Permission is hereby granted, free of charge, to "
    "any person obtaining a copy of the Unicode data files and any associated documentation (the "
    '"Data Files") or Unicode software and any associated documentation (the "Software") to deal '
    "in the Data Files or Software without restriction, including without limitation the rights to "
    "use, copy, modify, merge, publish, distribute, and/or sell copies of the Data Files or "
    "Software, and to permit persons to whom the Data Files or Software are furnished to do so, "
    "provided that either (a) this copyright and permission notice appear with all copies of the "
    "Data Files or Software, or (b) this copyright and permission notice appear in associated "
    'Documentation. THE DATA FILES AND SOFTWARE ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY '
    "KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, "
    "FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT OF THIRD PARTY RIGHTS. IN NO EVENT SHALL "
    "THE COPYRIGHT HOLDER OR HOLDERS INCLUDED IN THIS NOTICE BE LIABLE FOR ANY CLAIM, OR ANY "
    "SPECIAL INDIRECT OR CONSEQUENTIAL DAMAGES, OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF "
    "USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, "
    "ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THE DATA FILES OR SOFTWARE. "
    "Except as contained in this notice, the name of a copyright holder shall not be used in "
    "advertising or otherwise to promote the sale, use or other dealings in these Data Files or "
    "Software without prior written authorization of the copyright holder."
)

_AS_THEY_ARE = ("US", "CA")
"""Countries whose regions pycountry and CodeCarbon call by the same names."""
# <subdivision type="deby">Bavaria</subdivision>
_ENTRY = re.compile(r'<subdivision type="([a-z0-9]+)"[^>]*>([^<]+)<')


def different_names(cldr: str) -> dict[str, str]:
    """Return ISO 3166-2 code → CLDR's English name, where that is another name than ISO's."""
    english = dict(_ENTRY.findall(cldr))
    found = {}
    for region in pycountry.subdivisions:
        name = english.get(region.code.replace("-", "").lower(), "").strip("¹²³⁴")
        if region.country_code in _AS_THEY_ARE:
            continue
        if name and same_words(name) not in map(same_words, own_names(region.name)):
            found[region.code] = name
    return dict(sorted(found.items()))


def main() -> None:
    """Write the file."""
    cldr = Path(sys.argv[1]).read_text(encoding="utf-8")
    table = {
        "source": "Unicode CLDR 41, common/subdivisions/en.xml",
        "license": LICENSE,
        "notice": NOTICE,
        "names": different_names(cldr),
    }
    text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    NAMES_FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
