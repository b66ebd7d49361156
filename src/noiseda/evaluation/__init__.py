"""How near restored images are to their targets: measures, the field's protocols, reports and sheets."""
