#include "data/color.hpp"

#include <algorithm>

#include "data/data_test_support.hpp"
#include "data/sha256.hpp"

namespace gradus::data {
namespace {

using Adjust = void (*)(Image&, float);
std::string digest(Adjust adjust, float factor) {
  Image image = noise_image(37, 53);
  adjust(image, factor);
  return sha256(image.pixels);
}

}  // namespace

TEST_CASE("color: brightness, contrast and saturation give Pillow's bytes") {
  CHECK(digest(adjust_brightness, 0.3f) == "1ae10121a300c34f6bcc3a92c4860e29d8effe4b0496f3bd8e82bb72bf7040c8");
  CHECK(digest(adjust_brightness, 0.77f) == "a20b8b79417f054c9198288f7478059cf83279cc8dfec8230cab7af4e3ccb5a4");
  CHECK(digest(adjust_brightness, 1.6f) == "4f1a9a19f2bd697bf348ac258fef97ad8582591430351feb2980d29976991dca");
  CHECK(digest(adjust_contrast, 0.3f) == "e3d33202f15a9a7a35352f9be336640b7094d37487a26073e63b2000075f0450");
  CHECK(digest(adjust_contrast, 0.77f) == "bd1264a19e13f586318bb9e86976a506e48045dac6a22df1daf1988d13b2a901");
  CHECK(digest(adjust_contrast, 1.6f) == "1da15c11051e0822144b34c3dc6a2ba26ca32479e54717e298851da171b70595");
  CHECK(digest(adjust_saturation, 0.3f) == "f25a29324c0971f9b84a473c211c140722f6c81fb9c9fd033d600c0e6b7b1348");
  CHECK(digest(adjust_saturation, 0.77f) == "541ef38c4b4b9e6dfff4834484e2f5b64385f75a4920e0625318ad43fc00d371");
  CHECK(digest(adjust_saturation, 1.6f) == "42364847dd8a39959b94a0f9c535d838937af48e108d3958b600136a25035fc0");
}

TEST_CASE("color: hue gives torchvision's bytes on Pillow images") {
  CHECK(digest(adjust_hue, -0.5f) == "25ba3b9ae6aaffac32a6fbe26a2a9480467b5554967bdf9df82f37fefd099864");
  CHECK(digest(adjust_hue, -0.13f) == "b8078c712d34c5e827fee6012500bd099d97ff776e0f761d3b40a898f7e4e7d1");
  CHECK(digest(adjust_hue, 0.0f) == "52d9e9f97e5ce7076bacf0efa9c2383b2ebcce436e047d013a38813928f0eaa5");
  CHECK(digest(adjust_hue, 0.07f) == "fe6f68be84f187ea374caa9bf1a1a46d806adb4e403989a70fcb498603a14813");
  CHECK(digest(adjust_hue, 0.4f) == "f2bc62c25297bccbb1eb8a1e80b93fd42417c16470bf843cba8d9492a56ff048");
}

TEST_CASE("color: brightness 0 is black, factors of 1 change nothing, grey has no saturation to change") {
  const Image before = noise_image(5, 7);
  Image image = before;
  adjust_brightness(image, 1), adjust_contrast(image, 1), adjust_saturation(image, 1);
  CHECK(image.pixels == before.pixels);
  adjust_brightness(image, 0);
  CHECK(std::all_of(image.pixels.begin(), image.pixels.end(), [](int v) { return v == 0; }));
  std::fill(image.pixels.begin(), image.pixels.end(), 77);
  adjust_saturation(image, 3), adjust_hue(image, 0.3f);
  CHECK(std::all_of(image.pixels.begin(), image.pixels.end(), [](int v) { return v == 77; }));
}

}  // namespace gradus::data
