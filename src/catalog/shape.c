#include "catalog/shape.h"
