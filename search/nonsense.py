"""Words that mean nothing, so that no photo shows them: what they score is chance. Holds nothing else."""

NONSENSE = [
    f"a {word}"
    for line in (
        "flurb dax wug blicket toma zorp gleeb fendle mib snorf quim tarkle plonch vebber drim lozzit kwil bansop yurm",
        "crell stibe huffle jorvin pelk ganto smick trobe vunt zibbet wosh floam grint skerf murn bleth corvo yast",
        "frain perrim lurg zeft obble rindo sploot tivver umbrick vasp wendle xano yibble zundle clirp drovel eftin",
        "bropp nacket plim quorf shreeb tunkle",
    )
    for word in line.split()
]
