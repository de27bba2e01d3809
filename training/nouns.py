"""Which models of the catalogue are which things: chosen by looking at them."""

MODELS: dict[str, tuple[str, ...]] = {
    noun: tuple(
        {"0": "BlendSwap-CC-0", "B": "BlendSwap-CC-BY", "K": "KatorLegaz", "S": "Scopia"}[word[0]] + "/" + word[2:]
        for word in words.split()
    )
    for noun, words in {
        "bed": "0:bed1 0:bed2 0:bedWithTexture 0:bed3 B:lettoCloud S:bed1 S:iron_bed",
        "sofa": "0:L_shaped_sofa 0:sofa 0:couch 0:couch2 B:cornerSofa K:futon-couch S:simple_sofa S:beige_sofa"
        " S:beige_sofa_2seats S:leather_sofa S:sofa_white_beige S:convertible-sofa-BZ-closed",
        "armchair": "B:armchair1 S:armchair1 B:armChair2 S:beige_sofa_2seats K:chair-ottoman S:ryokanChair",
        "chair": "0:plasticChair 0:sillaBlanca 0:designChair B:cafe_set_mota_chair B:cafe_set_tonon_chair"
        " B:foldingChair B:plaidChair B:kitchenChair K:dining-chair S:plastic_chair K:office-chair S:office_chair",
        "table": "0:oakTable 0:tableWithTablecloth 0:table B:cafe_set_mota_table B:cafe_set_tonon_table B:table"
        " K:glass-dining-table K:folding-table S:black_table S:table3 S:table4 S:metal_glass_table"
        " S:white_kitchen_table S:round-table S:table-with-leaning-feet S:table-on-trestles",
        "coffee table": "S:coffee_table S:coffee-table2 S:table_wood_and_iron",
        "desk": "0:desk 0:lbDesk B:biurko3 B:simpleDesk B:officeTable K:custom-desk S:glass_table_office"
        " S:wooden_table_office S:dressing-table",
        "bedside table": "0:bedsideTable2 B:bedsideTable",
        "wardrobe": "0:wardrobeWithSlidingDoors 0:cupboard B:wardrobe B:wardrobe2 S:wardrobe1",
        "shelves": "0:bookcase 0:shelves 0:verticalShelves B:bookcase S:dining_room S:office_furniture1",
        "plant": "0:augalas 0:cactus B:luckyBamboo B:spider_plant S:bonsai-tree B:tulips 0:plantie",
        "lamp": "0:lamp2 0:desklamp B:lamp K:pedestal-vase-lamp S:table_lamp S:little_lamp1 S:little_lamp2"
        " S:little_lamp3 S:desk_lamp1",
        "floor lamp": "S:livingroom_lamp1 S:living_lamp",
        "tv": "0:led_tv S:tv S:wall-flat-tv",
        "sink": "0:washbasin B:washbasin_jay_hardy S:bathroom1 S:bathroom3 S:bathroom4 S:bathroom_vanity"
        " S:double_vanity 0:modernVanity",
        "stool": "0:stool B:green_stool 0:stool2 0:silla2 S:kitchen_stool S:puff",
        "bar stool": "K:bar-stool 0:silla2 0:stool S:bar_chair 0:stool2",
        "bottle": "S:wine_bottle B:beer_bottle K:red-wine-bottle-01 K:oil-servers S:com_bath",
        "glass": "B:glass K:12-oz-glass K:highball-glass B:cocktailGlass 0:beerGlass",
        "cup": "0:caffe_final B:coffee_cup K:coffee-mug S:cup S:teapot",
        "plate": "K:plate-and-ustensils K:dinner-plate K:bread-plate"
        " S:ensemble-assiette-couteau-fourchette-cuillere-verre S:steak 0:hotDog",
        "bowl": "K:bowl S:bowl S:bowlWithSalad",
        "fridge": "0:refrigerator",
        "oven": "0:doubleOven 0:oven",
        "washing machine": "B:washing_machine S:clothes_washing_machine",
        "kitchen island": "B:kitchenIsland 0:islandExtension",
        "coffee machine": "S:coffee_machine B:coffeePress B:espressokettle",
        "toaster": "S:sandwichMaker S:small-oven",
        "fireplace": "S:fireplace1 S:fireplace2",
        "piano": "B:piano 0:pianoAQueue",
        "bin": "0:dustbin K:bullet-trash-can",
        "lounger": "0:relaxChair 0:deckChair",
        "garden chair": "S:ext_chair 0:foldingChair B:foldingChair S:plastic_chair 0:deckChair B:cafe_set_mota_chair",
        "garden table": "S:ext_table B:cafe_set_mota_table S:round-table",
        "parasol": "0:umbrella",
        "tree": "S:bamboo S:bluePineSnow B:luckyBamboo",
    }.items()
}
