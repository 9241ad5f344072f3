"""Prompts by which the model is judged, and the colours that it knows."""

COLOURS = {  # name: (rgb, French forms)
    'red': ((214, 40, 46), 'rouge'),
    'orange': ((246, 138, 30), 'orange'),
    'yellow': ((250, 205, 55), 'jaune'),
    'green': ((72, 160, 66), 'vert'),
    'blue': ((52, 120, 214), 'bleu'),
    'purple': ((140, 80, 180), 'violet'),
    'pink': ((240, 130, 170), 'rose'),
    'brown': ((135, 86, 56), 'marron'),
    'black': ((48, 48, 52), 'noir'),
    'white': ((236, 236, 238), 'blanc'),
    'grey': ((140, 145, 150), 'gris'),
}


# colour and noun never shown together in training: the honest test of composition
HELD_OUT = [
    ('purple', 'apple'),
    ('green', 'dog'),
    ('blue', 'pizza'),
    ('red', 'cat'),
    ('pink', 'tree'),
    ('yellow', 'car'),
    ('green', 'rocket'),
    ('purple', 'house'),
    ('blue', 'banana'),
    ('red', 'fish'),
    ('green', 'rose'),
    ('black', 'mushroom'),
    ('blue', 'fire'),
    ('pink', 'airplane'),
    ('orange', 'butterfly'),
    ('red', 'moon'),
    ('purple', 'bicycle'),
    ('green', 'crown'),
    ('blue', 'strawberry'),
    ('yellow', 'elephant'),
]


KNOWN = ('red apple;cat face;blue heart;pizza;sun;house with garden;rocket;dog face;tree;airplane;coeur rouge;visage de chat;banana;'
         'strawberry;car;bicycle;fish;butterfly;mushroom;crown;elephant;star;rainbow;fire;ghost;robot;key;umbrella;guitar;soccer ball;'
         'book;balloon;hamburger;ice cream;rose;moon;snowman;boat;pomme verte;smiling face').split(';')
NOVEL = ['%s %s' % p for p in HELD_OUT]
NOVEL[1] = 'green dog face'
NOVEL[3] = 'red cat face'
