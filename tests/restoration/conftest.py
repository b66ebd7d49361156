from noiseda.restoration.torchvision_schema import import_torchvision

import_torchvision()  # before spandrel imports it
