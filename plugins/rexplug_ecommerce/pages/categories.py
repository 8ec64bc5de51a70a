"""The vocabulary of shop pages: categories with their product types, brands, colours, sizes, materials and measures.

Brands are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """A category of products, and the values that its products may have."""

    name: str
    types: tuple[str, ...]
    brands: tuple[str, ...]
    lines: tuple[str, ...]
    colours: tuple[str, ...]
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    measures: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(what is measured, unit, values)."""
    features: tuple[str, ...]
    parts: tuple[str, ...]
    uses: tuple[str, ...]
    prices: tuple[int, int]


_SHOES = "6, 7, 8, 9, 10, 11, 12"
_CLOTHES = "XS, S, M, L, XL, XXL"

# One block per category; lines are "key: comma separated values"; a measure is "name/unit/values".
_BLOCKS = f"""
name: Running Shoes
types: trail running shoe, road running shoe, racing flat, stability running shoe
brands: Norvale, Tarrick, Stridewell, Fellmark, Quickfen, Aerolune, Pacehart, Brackwater
lines: Summit, Drift, Vapour Trail, Ridgeline, Tempo, Cinder, Longstride
colours: black, white, navy, neon yellow, coral, slate grey, teal
materials: mesh, knit, ripstop, rubber, EVA foam
sizes: {_SHOES}
measures: weight/g/210 230 245 260 285 310, heel drop/mm/4 6 8 10 12, stack height/mm/24 28 32 36
features: reflective heel tab, lugged outsole, padded collar, gusseted tongue, rock plate, removable insole
parts: laces, insoles, running socks
uses: marathon training, muddy trails, daily jogging, race day
prices: 59, 189

name: Jackets
types: rain jacket, down jacket, fleece jacket, softshell jacket, windbreaker
brands: Hollinmoor, Arvendale, Wetherby & Pike, Northquill, Saltgrove, Kestrelman, Umberline, Fjordane
lines: Monsoon, Alder, Basecamp, Harbour, Tundra, Squall, Lichen
colours: olive, navy, charcoal, burgundy, mustard, forest green, black
materials: nylon, polyester, merino wool, cotton, goose down, softshell
sizes: {_CLOTHES}
measures: weight/g/280 340 420 510 640 780, water column/mm/5000 10000 15000 20000
features: taped seams, adjustable hood, two-way zip, pit zips, hem drawcord, fleece-lined pockets
parts: packing pouch, spare zip pulls, wash-in waterproofer
uses: hill walking, commuting, ski touring, wet weekends
prices: 69, 349

name: Cookware
types: frying pan, saucepan, stockpot, casserole dish, saute pan, wok
brands: Ironhollow, Casterly Home, Brassica, Potterfield, Emberkin, Copperwick, Sizzlewood, Dutchlow
lines: Heritage, Chef Pro, Everyday, Hearth, Ceramix, Bistro
colours: copper, cream, graphite, red, black, sage
materials: cast iron, stainless steel, aluminium, carbon steel, enamelled steel, copper
sizes: small, medium, large
measures: diameter/cm/16 18 20 24 26 28 30, capacity/l/1.2 1.8 2.6 3.5 5.0 7.5, weight/kg/0.9 1.2 1.6 2.4 3.8
features: riveted handle, pouring lip, glass lid, oven safe to 230 degrees, induction base, non-stick coating
parts: glass lids, handle sleeves, pan protectors
uses: slow braising, searing steak, family dinners, induction hobs
prices: 19, 229

name: Headphones
types: wireless headphones, in-ear earphones, noise cancelling headphones, gaming headset, studio headphones
brands: Auralyn, Basswick, Tonehaven, Sonivar, Hushline, Echobrook, Clarivox, Decibelle
lines: Quiet, Pulse, Reference, Nimbus, Stage, Orbit
colours: midnight blue, silver, black, rose gold, white, sand
materials: aluminium, memory foam, vegan leather, ABS plastic, silicone
sizes: one size
measures: battery life/hours/18 24 30 36 50, driver size/mm/10 30 40 50, impedance/ohm/16 32 64 250, weight/g/5 190
  250 290
features: multipoint pairing, folding hinges, detachable cable, low latency mode, transparency mode, USB-C charging
parts: ear pads, carry cases, audio cables
uses: long flights, mixing at home, video calls, late night gaming
prices: 29, 399

name: Laptops
types: ultrabook, gaming laptop, convertible laptop, business notebook
brands: Corvane, Lumitek, Octave Systems, Byteforge, Slatewing, Pixelmoor, Kernelworks, Zentara
lines: Aero, Titan, Flexbook, Vertex, Scholar, Forge
colours: space grey, silver, black, pearl white, midnight blue
materials: aluminium, magnesium alloy, ABS plastic, carbon fibre
sizes: 13 inch, 14 inch, 15.6 inch, 17.3 inch
measures: memory/GB/8 16 32 64, storage/GB/256 512 1024 2048, battery/Wh/50 56 72 90 99, weight/kg/1.1 1.3 1.6 2.1 2.7
features: backlit keyboard, fingerprint reader, Wi-Fi 6E, two Thunderbolt ports, HDMI output, privacy shutter
parts: charger, docking station, memory module, replacement battery, sleeve
uses: coding on the train, video editing, lectures, competitive games
prices: 449, 2899

name: Vacuum Cleaners
types: cordless vacuum, robot vacuum, upright vacuum, canister vacuum, handheld vacuum
brands: Whirlaway, Dustmere, Cleanova, Suctra, Brushfield, Tidewell, Vortigo, Sweepstone
lines: Cyclone, Silent, Pet Plus, Glide, Compact, Max
colours: white, purple, red, graphite, turquoise
materials: ABS plastic, polycarbonate, aluminium
sizes: compact, standard
measures: suction/Pa/2500 4000 6000 9000, runtime/minutes/30 45 60 90, dust capacity/l/0.4 0.6 1.0 2.5, noise/dB/58
  65 72
features: washable HEPA filter, LED floor head, self-emptying dock, anti-tangle brush, app control, swivel neck
parts: HEPA filter, brush roll, dust bags, replacement battery, side brush
uses: pet hair, hard floors, stairs, small flats
prices: 49, 699

name: Office Chairs
types: ergonomic office chair, gaming chair, executive chair, task chair, drafting stool
brands: Sitwright, Lumbaro, Perchfield, Ergostead, Postura, Deskhaven, Reclino, Backworth
lines: Align, Boardroom, Balance, Contour, Studio, Nightshift
colours: black, grey, oxblood, white, green, tan
materials: mesh, faux leather, leather, polyester, moulded foam, steel
sizes: standard, tall
measures: seat height/cm/42 45 48 52, maximum load/kg/110 120 136 150, backrest height/cm/60 72 80
features: adjustable lumbar support, 4D armrests, tilt lock, headrest, silent castors, waterfall seat edge
parts: castor set, gas lift, headrest, armrest pads
uses: home office, long shifts, reception desks, streaming
prices: 89, 899

name: Skincare
types: face moisturiser, facial cleanser, vitamin serum, night cream, sunscreen lotion, clay mask
brands: Dewberry Lane, Lunessa, Marisol Skin, Petalique, Hydrova, Botanelle, Purefen, Glowmont
lines: Calm, Radiance, Aqua, Renew, Barrier, Dawn
colours: clear, ivory, rose, amber
materials: glass, recycled plastic, aluminium
sizes: travel size, regular, family size
measures: volume/ml/15 30 50 75 100 200, sun protection/SPF/15 30 50
features: fragrance free, hyaluronic acid, niacinamide, aloe vera, ceramides, shea butter, dermatologist tested
parts: refill pouch, pump dispenser, bamboo pads
uses: sensitive skin, dry winters, oily skin, daily use under make-up
prices: 6, 89

name: Coffee Machines
types: espresso machine, filter coffee maker, capsule machine, bean-to-cup machine, coffee grinder
brands: Cremano, Baristella, Roastwick, Moccabay, Kaffirion, Percola, Groundhollow, Steamwright
lines: Piccolo, Barista, Milano, Morning, Duo, Prima
colours: stainless steel, black, red, cream, mint
materials: stainless steel, brass, ABS plastic, borosilicate glass
sizes: compact, standard
measures: pressure/bar/9 15 19, water tank/l/1.1 1.5 1.8 2.4, power/W/900 1350 1450 1850, hopper/g/200 250 350
features: steam wand, PID temperature control, milk frother, removable drip tray, burr grinder, cup warmer
parts: portafilter, water filter, descaling kit, milk jug, gasket set
uses: small kitchens, flat whites, office break rooms, weekend brunch
prices: 39, 1299

name: Power Tools
types: cordless drill, impact driver, circular saw, angle grinder, jigsaw, rotary hammer
brands: Torqueman, Hammerfell, Gritstone, Boltaire, Sawridge, Anvilex, Drillmoor, Rivetson
lines: Pro, Brushless, Compact, Site, Heavy Duty, Fusion
colours: yellow, teal, red, blue, orange
materials: magnesium alloy, glass-filled nylon, hardened steel, rubber
sizes: bare tool, kit
measures: voltage/V/12 18 20 36 54, torque/Nm/30 55 70 95 140, battery/Ah/2.0 4.0 5.0 8.0, no-load speed/rpm/1800
  2100 3200 5800
features: brushless motor, keyless chuck, LED work light, belt clip, soft start, electric brake
parts: battery pack, charger, chuck, saw blade, carbon brushes, bit set
uses: timber framing, masonry, metal cutting, flat-pack furniture
prices: 39, 449

name: Bedding
types: duvet cover set, fitted sheet, memory foam pillow, mattress topper, weighted blanket
brands: Slumberline, Featherwold, Cottonmere, Nestbury, Dreamfold, Linenhurst, Dovecote, Snugmoor
lines: Hotel, Cloud, Breeze, Winter, Classic, Cocoon
colours: white, dusty pink, sage green, charcoal, sky blue, natural
materials: cotton, linen, bamboo viscose, microfibre, memory foam, goose down
sizes: single, double, king, super king
measures: thread count/TC/144 200 300 400 600, depth/cm/5 7 10 30, weight/kg/1.5 4.5 6.8 9
features: button closure, elasticated corners, hypoallergenic filling, piped edge, cooling gel layer, OEKO-TEX
  certified
parts: pillowcases, mattress protector, storage bag
uses: hot sleepers, guest rooms, side sleepers, cold nights
prices: 15, 249

name: Bicycles
types: gravel bike, mountain bike, city bike, folding bike, electric bike
brands: Velorange, Spokehart, Cranfield, Pedalmark, Gearloch, Cyclamere, Trailwright, Hubbard & Sons
lines: Nomad, Enduro, Metro, Pinnacle, Pathfinder, Volt
colours: matte black, racing green, orange, raw silver, sky blue, sand
materials: aluminium, carbon fibre, chromoly steel, titanium
sizes: 49 cm, 52 cm, 54 cm, 56 cm, 58 cm
measures: wheel size/inch/20 26 27.5 28 29, fork travel/mm/100 120 140 160, weight/kg/8.9 10.4 12.8 14.5 22,
  range/km/60 80 120
features: hydraulic disc brakes, dropper post, internal cable routing, rack mounts, thru axles, belt drive
parts: brake pads, chain, cassette, inner tube, derailleur hanger, bottom bracket
uses: bikepacking, school runs, alpine descents, commuting
prices: 349, 4999

name: Backpacks
types: hiking backpack, laptop backpack, travel backpack, school backpack, dry bag
brands: Carrowell, Rucksby, Trekhollow, Packmere, Wayfarrow, Stowe & Birch, Cairngate, Loadstar
lines: Voyager, Transit, Peak, Campus, Rambler, Tidal
colours: forest green, black, ochre, navy, rust, stone
materials: ripstop nylon, recycled polyester, waxed canvas, leather, TPU
sizes: one size, S/M, M/L
measures: volume/l/18 22 28 35 45 65, weight/g/480 720 980 1450 1900, laptop sleeve/inch/13 15 16
features: ventilated back panel, rain cover, sternum strap, hidden passport pocket, compression straps, roll-top
  closure
parts: rain cover, hip belt, buckle set, hydration bladder
uses: weekend hikes, carry-on travel, cycling to work, festivals
prices: 25, 279

name: Televisions
types: OLED TV, QLED TV, LED TV, portable projector
brands: Visionara, Lumenfeld, Panelux, Brightmoor, Cinemara, Screenhart, Chromavale, Teleborne
lines: Gallery, Cinema, Frame, Bright, Prime, Zenith
colours: black, silver, walnut, white
materials: glass, aluminium, ABS plastic
sizes: 32 inch, 43 inch, 55 inch, 65 inch, 77 inch
measures: refresh rate/Hz/50 60 100 120 144, brightness/nits/300 600 1000 1500, speaker power/W/20 40 60, energy
  use/kWh/48 70 96 130
features: Dolby Vision, HDMI 2.1, wall mount ready, voice remote, ambient mode, game mode
parts: wall bracket, remote control, HDMI cable, stand feet
uses: film nights, console gaming, sunny rooms, bedroom viewing
prices: 149, 3499

name: Toys
types: building block set, wooden train set, plush bear, board game, remote control car, jigsaw puzzle
brands: Tinkerby, Pebble & Pip, Bramblebox, Wobblekins, Gigglewick, Oakmouse, Puzzlemere, Whistlestop
lines: Adventure, Little Farm, Galaxy, Forest Friends, Junior, Big City
colours: red, rainbow, blue, natural wood, pastel pink, green
materials: beech wood, ABS plastic, plush polyester, cardboard, organic cotton
sizes: small, medium, giant
measures: pieces/pcs/24 48 100 250 500 1000, height/cm/12 20 30 60, minimum age/years/2 3 5 8
features: rounded edges, water-based paint, storage bucket, magnetic couplings, embroidered eyes, instruction booklet
parts: battery pack, expansion set, replacement pieces, track extension
uses: rainy afternoons, birthday gifts, early learning, family game night
prices: 8, 129

name: Pet Supplies
types: dry dog food, orthopaedic dog bed, cat tree, dog harness, self-cleaning litter box, aquarium filter
brands: Pawsley, Whiskerton, Barkmoor, Furlough & Co, Tailwind Pets, Finnegan, Kibblewick, Mewsbury
lines: Natural, Senior, Active, Cosy, Grain Free, Explorer
colours: grey, beige, red, blue, brown
materials: sisal, plush polyester, stainless steel, nylon webbing, memory foam, ABS plastic
sizes: XS, S, M, L, XL
measures: weight/kg/2 3 7.5 12 15, length/cm/50 70 90 110, protein/%/22 26 30 34
features: chew-proof stitching, machine washable cover, no artificial colours, reflective trim, non-slip base,
  escape-proof buckle
parts: replacement cover, filter cartridge, scratching post, lead
uses: large breeds, indoor cats, older dogs, sensitive stomachs
prices: 9, 219

name: Watches
types: automatic watch, dive watch, field watch, chronograph, smartwatch
brands: Meridane, Tickford, Chronavel, Harrowgate, Solstice & Vane, Ledger, Escapade, Quartzmoor
lines: Admiral, Heritage, Aviator, Minute, Depth, Nocturne
colours: navy, black, champagne, emerald, silver, gunmetal
materials: stainless steel, titanium, bronze, leather, rubber, sapphire crystal
sizes: 36 mm, 38 mm, 40 mm, 42 mm, 44 mm
measures: water resistance/m/30 50 100 200 300, power reserve/hours/38 42 70 80, thickness/mm/9.5 11 12.8 14, lug
  width/mm/18 20 22
features: exhibition case back, luminous hands, screw-down crown, quick-release strap, date window, rotating bezel
parts: leather strap, spring bars, crown tube, link remover
uses: office wear, scuba diving, hiking, black tie evenings
prices: 79, 2499

name: Lighting
types: pendant light, desk lamp, floor lamp, LED bulb, solar garden light
brands: Glimmerby, Lanternwick, Halobrook, Filamento, Shadehurst, Lumisole, Wattley, Candelow
lines: Dome, Arc, Filament, Nordic, Terrace, Focus
colours: brass, matte black, white, smoked glass, copper, olive
materials: brass, rattan, opal glass, steel, concrete, linen
sizes: small, medium, large
measures: brightness/lm/250 470 806 1055 1521, colour temperature/K/2200 2700 3000 4000, power/W/4 6 9 15, cable
  length/cm/120 150 200 300
features: dimmable driver, touch switch, E27 socket, IP44 rating, motion sensor, adjustable arm
parts: replacement shade, LED bulb, ceiling rose, dimmer switch
uses: reading corners, kitchen islands, patios, home studios
prices: 7, 329
"""


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(","))


def _read(block: str) -> Category:
    entry = dict(line.split(": ", 1) for line in block.strip().replace("\n  ", " ").splitlines())
    low, high = _list(entry["prices"])
    measures = []
    for measure in _list(entry["measures"]):
        what, unit, values = measure.split("/")
        measures.append((what, unit, tuple(values.split())))
    lists = {key: _list(entry[key]) for key in entry if key not in {"name", "measures", "prices"}}
    return Category(name=entry["name"], measures=tuple(measures), prices=(int(low), int(high)), **lists)


CATEGORIES = tuple(_read(block) for block in _BLOCKS.strip().split("\n\n"))
"""All categories, in a fixed order."""
