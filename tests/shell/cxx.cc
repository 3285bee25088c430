/* SPDX-License-Identifier: GPL-3.0-or-later */
/* C++ data of every shape, then a fault. */
#include <arpa/inet.h>
#include <atomic>
#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ns {
enum class kind : unsigned char { A, B = 250 };
enum perm { PERM_READ = 1, PERM_WRITE = 2, PERM_EXEC = 4 };
enum level : short { LOW = -7, HIGH = 9 };
struct base {
	virtual ~base() {}
	int b = 11;
};
struct other {
	long o = 12;
};
struct virt : virtual base {
	int v = 13;
};
template <class T, int N> struct box {
	T value[N];
	int tag = N;
};
class derived : public base, public other {
    public:
	static int shared;
	struct nested {
		char c[3];
	} n{{'x', 'y', 0}};
	int d = 5;
	int *ptr = &d;
	int &ref = d;
	const std::string text{"short"};
	std::string longer{"a string that does not fit into the object itself"};
	std::vector<int> numbers{1, 2, 3, 4, 500};
	std::vector<std::string> words{"one", "two \"quoted\"\n"};
	std::vector<nested> nesteds{{{'a', 0, 0}}, {{'b', 'c', 0}}};
	std::vector<bool> bits{true, false, true};
	std::map<int, std::string> map{{1, "uno"}, {2, "due"}};
	std::list<int> list{7, 8, 9};
	std::unique_ptr<other> up{new other};
	std::shared_ptr<other> sp{new other};
	std::atomic<int> at{77};
	std::atomic<bool> ab{true};
	std::atomic<int *> ap{&d};
	std::string_view sv{"viewed"};
	std::optional<int> op{3};
	kind k = kind::B;
	perm p = perm(PERM_READ | PERM_EXEC);
	level l = LOW;
	int (*fn)(const char *) = atoi;
	int derived::*dm = &derived::d;
	int (derived::*mf)(int) = &derived::sum;
	__int128 wide = (__int128)1 << 100 | 5;
	long double ld = 2.5L;
	float f = 1.5f;
	double arr[2][3] = {{1, 2, 3}, {4, 5, 6}};
	box<short, 2> boxes[2][2];
	bool yes = true;
	wchar_t w = L'q';
	char16_t u16 = u'x';
	struct {
		int ax;
		union {
			int au;
			float af;
		};
	} anon{1, {2}};
	unsigned bf1 : 3, bf2 : 29;
	int bf3 : 4;
	unsigned long bf4 : 60;
	struct in_addr ip {
		0x0100007f
	};
	struct in6_addr ip6 {
		{
			{
				0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					0, 0, 1
			}
		}
	};
	std::nullptr_t np = nullptr;
	int sum(int k)
	{
		bf1 = 5;
		bf2 = 1000;
		bf3 = -2;
		bf4 = 1ul << 59 | 3;
		return d + k;
	}
};
int derived::shared = 3;
} // namespace ns

struct flexible {
	int n;
	char tail[];
};

ns::derived global;
ns::virt virt;
ns::box<double, 2> boxed{{1.25, 2.5}};
std::string greeting = "global string";
static ns::other hidden;
/* longer than all memory, as damage makes them */
std::string_view wild{"wild", ~(size_t)0};
flexible *flex;

int main()
{
	flex = (flexible *)malloc(64);
	flex->n = global.sum((int)hidden.o);
	abort();
}
