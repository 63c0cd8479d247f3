using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;
using Stig.Tests;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// Oracle: NVIDIA's own headers, from the folder that STIG_CUDA_INCLUDE names (./build.sh headers obtains one). The declarations, constants and
/// structs of the bindings, and the entry points of the simulated libraries, become C++ declarations beside NVIDIA's, and a C++ compiler
/// checks assertions about them. What the headers at hand may lack, being of another CUDA version, is listed here and noted in
/// artifacts/headers; everything else has to be there and to agree.
/// </summary>
public sealed partial class HeaderTests
{
    private const string Variable = "STIG_CUDA_INCLUDE";

    // C++ has overloads of some products of cuBLAS, which C has not.
    private const string Preamble = """
        #include <cstddef>
        #include <cstdint>
        #include <type_traits>
        #include <cuda.h>
        #include <cudaProfiler.h>
        #include <cufft.h>
        #include <cufftXt.h>
        #include <cuda_fp16.h>
        #include <cuda_bf16.h>
        #undef __cplusplus
        #include <cublas_v2.h>
        #include <cublasLt.h>
        #define __cplusplus 201703L
        #if __has_include(<cudnn.h>)
        #include <cudnn.h>
        #endif

        struct opaque;
        using Handle = opaque*;

        template <class O, class T> constexpr bool same() {
          using Ours = std::remove_cv_t<O>;
          using Theirs = std::remove_cv_t<T>;
          if constexpr (std::is_void_v<Ours> || std::is_void_v<Theirs>) {
            return std::is_void_v<Ours> && std::is_void_v<Theirs>;
          } else if constexpr (std::is_same_v<Ours, Handle>) {
            using To = std::remove_pointer_t<Theirs>;
            return std::is_pointer_v<Theirs> && (std::is_class_v<To> || std::is_void_v<To>);
          } else if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) {
            using Mine = std::remove_cv_t<std::remove_pointer_t<Ours>>;
            using To = std::remove_cv_t<std::remove_pointer_t<Theirs>>;
            if constexpr (std::is_void_v<Mine> || std::is_void_v<To>) return true;
            else if constexpr (std::is_function_v<Mine>) return std::is_function_v<To>;
            else if constexpr (std::is_class_v<To> && std::is_same_v<Mine, unsigned char>) return true;  // a struct's bytes
            else return same<Mine, To>();
          } else if constexpr (std::is_pointer_v<Theirs>) {
            return std::is_same_v<Ours, uint64_t>;  // a device address, where a library takes any pointer
          } else if constexpr (std::is_class_v<Ours> && std::is_class_v<Theirs>) {
            return sizeof(Ours) == sizeof(Theirs);
          } else if constexpr (std::is_scalar_v<Ours> && std::is_scalar_v<Theirs> && !std::is_pointer_v<Ours>) {
            bool sign = std::is_enum_v<Theirs> || sizeof(Ours) == 1 || std::is_signed_v<Ours> == std::is_signed_v<Theirs>;
            return sizeof(Ours) == sizeof(Theirs) && std::is_floating_point_v<Ours> == std::is_floating_point_v<Theirs> && sign;
          } else {
            return false;
          }
        }
        template <class O, class T> struct agree : std::false_type {};
        template <class R, class... A, class S, class... B> struct agree<R (*)(A...), S (*)(B...)> {
          static constexpr bool all() {
            if constexpr (sizeof...(A) == sizeof...(B)) return same<R, S>() && (same<A, B>() && ...);
            else return false;
          }
          static constexpr bool value = all();
        };

        """;

    // The members of the bindings' enums and constants, and what the headers call them.
    private static readonly (Type Type, string Prefix, string Names)[] Constants =
    [
        (typeof(DeviceAttribute), "CU_DEVICE_ATTRIBUTE_",
            "SharedMemoryPerBlock MAX_SHARED_MEMORY_PER_BLOCK, MultiprocessorCount MULTIPROCESSOR_COUNT, MemoryClockKilohertz MEMORY_CLOCK_RATE, "
            + "MemoryBusWidthBits GLOBAL_MEMORY_BUS_WIDTH, L2CacheBytes L2_CACHE_SIZE, MaxThreadsPerMultiprocessor MAX_THREADS_PER_MULTIPROCESSOR, "
            + "ComputeCapabilityMajor COMPUTE_CAPABILITY_MAJOR, ComputeCapabilityMinor COMPUTE_CAPABILITY_MINOR, "
            + "SharedMemoryPerBlockOptIn MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, MemoryPoolsSupported MEMORY_POOLS_SUPPORTED"),
        (typeof(FunctionAttribute), "CU_FUNC_ATTRIBUTE_",
            "MaxThreadsPerBlock MAX_THREADS_PER_BLOCK, SharedBytes SHARED_SIZE_BYTES, ConstantBytes CONST_SIZE_BYTES, LocalBytes LOCAL_SIZE_BYTES, "
            + "Registers NUM_REGS, PtxVersion PTX_VERSION, BinaryVersion BINARY_VERSION, MaxDynamicSharedBytes MAX_DYNAMIC_SHARED_SIZE_BYTES"),
        (typeof(JitOption), "CU_JIT_",
            "InfoLogBuffer INFO_LOG_BUFFER, InfoLogBufferBytes INFO_LOG_BUFFER_SIZE_BYTES, ErrorLogBuffer ERROR_LOG_BUFFER, "
            + "ErrorLogBufferBytes ERROR_LOG_BUFFER_SIZE_BYTES, GenerateLineInfo GENERATE_LINE_INFO"),
        (typeof(MemoryPoolAttribute), "CU_MEMPOOL_ATTR_",
            "ReleaseThreshold RELEASE_THRESHOLD, ReservedCurrent RESERVED_MEM_CURRENT, ReservedHigh RESERVED_MEM_HIGH, UsedCurrent USED_MEM_CURRENT, "
            + "UsedHigh USED_MEM_HIGH"),
        (typeof(CaptureMode), "CU_STREAM_CAPTURE_MODE_", "Global GLOBAL, ThreadLocal THREAD_LOCAL, Relaxed RELAXED"),
        (typeof(CaptureStatus), "CU_STREAM_CAPTURE_STATUS_", "None NONE, Active ACTIVE, Invalidated INVALIDATED"),
        (typeof(MemoryType), "CU_MEMORYTYPE_", "Host HOST, Device DEVICE"),
        (typeof(DriverFlags), "CU_",
            "StreamNonBlocking STREAM_NON_BLOCKING, EventDefault EVENT_DEFAULT, EventDisableTiming EVENT_DISABLE_TIMING, "
            + "MemoryAllocationPinned MEM_ALLOCATION_TYPE_PINNED, MemoryLocationDevice MEM_LOCATION_TYPE_DEVICE, "
            + "HostAllocPortable MEMHOSTALLOC_PORTABLE, HostAllocWriteCombined MEMHOSTALLOC_WRITECOMBINED"),
        (typeof(FftType), "CUFFT_", "ComplexToComplex C2C, RealToComplex R2C, ComplexToReal C2R"),
        (typeof(FftDirection), "CUFFT_", "Forward FORWARD, Inverse INVERSE"),
        (typeof(BlasOperation), "CUBLAS_OP_", "None N, Transpose T"),
        (typeof(BlasDataType), "CUDA_R_", "Float32 32F, BFloat16 16BF"),
        (typeof(BlasComputeType), "CUBLAS_COMPUTE_32F", "Float32 -, Float32Pedantic _PEDANTIC, Float32FastTf32 _FAST_TF32"),
        (typeof(BlasMathMode), "CUBLAS_", "Default DEFAULT_MATH, Pedantic PEDANTIC_MATH, Tf32 TF32_TENSOR_OP_MATH"),
        (typeof(DnnDataType), "CUDNN_DATA_", "Float32 FLOAT, BFloat16 BFLOAT16"),
        (typeof(DnnTensorFormat), "CUDNN_TENSOR_", "Nchw NCHW, Nhwc NHWC"),
        (typeof(DnnConvolutionMode), "CUDNN_", "Convolution CONVOLUTION, CrossCorrelation CROSS_CORRELATION"),
        (typeof(DnnMathType), "CUDNN_",
            "Default DEFAULT_MATH, TensorOp TENSOR_OP_MATH, TensorOpAllowConversion TENSOR_OP_MATH_ALLOW_CONVERSION, Fma FMA_MATH"),
        (typeof(DnnActivationMode), "CUDNN_ACTIVATION_", "Relu RELU, Identity IDENTITY"),
        (typeof(DnnForwardAlgorithm), "CUDNN_CONVOLUTION_FWD_ALGO_",
            "ImplicitGemm IMPLICIT_GEMM, ImplicitPrecompGemm IMPLICIT_PRECOMP_GEMM, Gemm GEMM, Direct DIRECT, Fft FFT, FftTiling FFT_TILING, "
            + "Winograd WINOGRAD, WinogradNonfused WINOGRAD_NONFUSED"),
    ];

    // The version with which a name is known to exist (of CUDA; of cuDNN for its names), and the first that lacks it again.
    private static readonly Dictionary<string, int> Since = new()
    {
        ["CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER"] = 13000,
        ["CUDNN_STATUS_NOT_SUPPORTED_DYNAMIC_SHAPE"] = 92400,
        ["CUFFT_MISSING_DEPENDENCY"] = 13000,
        ["CUFFT_NVRTC_FAILURE"] = 13000,
        ["CUFFT_NVJITLINK_FAILURE"] = 13000,
        ["CUFFT_NVSHMEM_FAILURE"] = 13000,
        ["cuLibraryLoadData"] = 12000,
        ["cuLibraryGetKernel"] = 12000,
        ["cuLibraryGetModule"] = 12000,
        ["cuLibraryUnload"] = 12000,
        ["cuKernelGetFunction"] = 12000,
        ["cuGetProcAddress_v2"] = 12000,
        ["cuGraphInstantiateWithParams"] = 12000,
        ["cuGraphExecUpdate_v2"] = 12000,
        ["cuGraphAddKernelNode_v2"] = 12000,
        ["cuGraphExecKernelNodeSetParams_v2"] = 12000,
        ["CUDA_KERNEL_NODE_PARAMS_v2"] = 12000,
        ["CUgraphExecUpdateResultInfo"] = 12000,
        ["CUDA_GRAPH_INSTANTIATE_PARAMS"] = 12000,
        ["cuCtxCreate_v4"] = 12060,
        ["cuEventElapsedTime_v2"] = 12080,
    };

    private static readonly Dictionary<string, int> Until = new()
    {
        ["cuCtxCreate_v2"] = 13000,
        ["CUFFT_INCOMPLETE_PARAMETER_LIST"] = 13000,
        ["CUFFT_PARSE_ERROR"] = 13000,
        ["CUFFT_LICENSE_ERROR"] = 13000,
    };

    // Fields that came later name the CUDA version with which they are known to exist.
    private static readonly (Type Type, string Name, string Fields)[] Structs =
    [
        (typeof(MemoryPoolProperties), "CUmemPoolProps",
            "AllocationType allocType, HandleTypes handleTypes, LocationType location.type, LocationId location.id, "
            + "Win32SecurityAttributes win32SecurityAttributes, MaxBytes maxSize>=12060, Usage usage>=12060"),
        (typeof(MemoryCopy2D), "CUDA_MEMCPY2D",
            "SourceX srcXInBytes, SourceY srcY, SourceType srcMemoryType, SourceHost srcHost, SourceDevice srcDevice, SourceArray srcArray, "
            + "SourcePitch srcPitch, DestinationX dstXInBytes, DestinationY dstY, DestinationType dstMemoryType, DestinationHost dstHost, "
            + "DestinationDevice dstDevice, DestinationArray dstArray, DestinationPitch dstPitch, WidthBytes WidthInBytes, Height Height"),
        (typeof(DnnAlgorithmPerformance), "cudnnConvolutionFwdAlgoPerf_t",
            "Algorithm algo, Status status, Milliseconds time, WorkspaceBytes memory, Determinism determinism, Math mathType"),
    ];

    [Fact]
    public void Bindings_agree_with_the_headers()
    {
        var check = new Check("bindings", Headers());
        foreach (Type api in (Type[])[typeof(DriverApi), typeof(FftApi), typeof(BlasApi), typeof(BlasLtApi), typeof(DnnApi)])
        {
            foreach (MethodInfo method in api.GetMethods(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
                .Where(method => method.Name.StartsWith("cu", StringComparison.Ordinal)))
            {
                check.Function(method.Name, Cpp(method.ReturnType), string.Join(", ", method.GetParameters().Select(p => Cpp(p.ParameterType))));
            }
        }

        foreach ((Type type, string prefix, string names) in Constants)
        {
            Dictionary<string, string> theirs = Pairs(names);
            FieldInfo[] members = type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic);
            Assert.Equal(theirs.Keys.Order(StringComparer.Ordinal), members.Select(member => member.Name).Order(StringComparer.Ordinal));
            foreach (FieldInfo member in members)
            {
                check.Constant(prefix + theirs[member.Name].TrimStart('-'), Convert.ToInt64(member.GetRawConstantValue(), CultureInfo.InvariantCulture));
            }
        }

        Codes(Enum.GetValues<CudaResult>(), CudaResultText.Describe);
        Codes(Enum.GetValues<FftResult>(), FftResultText.Describe);
        Codes(Enum.GetValues<BlasStatus>(), BlasStatusText.Describe);
        Codes(Enum.GetValues<DnnStatus>(), DnnStatusText.Describe);
        foreach ((Type type, string name, string fields) in Structs)
        {
            check.Struct(name, Marshal.SizeOf(type), [.. Pairs(fields).Select(pair => (pair.Value, (int)Marshal.OffsetOf(type, pair.Key)))]);
        }

        check.Run();

        void Codes<T>(T[] codes, Func<T, StatusText> describe) where T : struct, Enum
        {
            foreach (T code in codes)
            {
                check.Constant(describe(code).Name, Convert.ToInt64(code, CultureInfo.InvariantCulture));
            }
        }
    }

    [Fact]
    public void The_simulated_libraries_agree_with_the_headers()
    {
        string include = Headers();
        var check = new Check("simulator", include);
        string folder = Repository.PathOf("tests/cudasim");
        check.Declare("using Pointer = uint64_t;");
        foreach (string file in (string[])["driver.cpp", "cufft.cpp", "cublas.cpp", "cublaslt.cpp", "cudnn.cpp"])
        {
            string text = File.ReadAllText(Path.Combine(folder, file));
            foreach (Match entry in EntryPoint().Matches(text))
            {
                check.Function(entry.Groups["name"].Value, "int", entry.Groups["parameters"].Value);
            }

            // Structs whose size the simulator states, with NVIDIA's name as the reason.
            foreach (Match size in StatedSize().Matches(text))
            {
                check.Struct(size.Groups["name"].Value, int.Parse(size.Groups["size"].Value, CultureInfo.InvariantCulture), []);
            }
        }

        foreach (Match status in StatusValue().Matches(File.ReadAllText(Path.Combine(folder, "runtime.h"))))
        {
            string snake = InnerCapital().Replace(status.Groups["name"].Value, "_$1").ToUpperInvariant();
            string name = snake == "SUCCESS" ? "CUDA_SUCCESS"
                : "CUDA_ERROR_" + (snake.StartsWith("CAPTURE_", StringComparison.Ordinal) ? "STREAM_" : "") + snake;
            check.Constant(name, long.Parse(status.Groups["value"].Value, CultureInfo.InvariantCulture));
        }

        check.Run();
    }

    // The bindings' types in C++: handles are pointers to something unknown, device addresses 64-bit numbers.
    private static string Cpp(Type type) => type switch
    {
        { IsPointer: true } => Cpp(type.GetElementType()!) + "*",
        { IsEnum: true } => "int",
        _ when type == typeof(void) => "void",
        _ when type == typeof(nint) => "Handle",
        _ when type == typeof(nuint) => "size_t",
        _ when type == typeof(ulong) => "uint64_t",
        _ when type == typeof(long) => "int64_t",
        _ when type == typeof(int) => "int",
        _ when type == typeof(uint) => "unsigned",
        _ when type == typeof(byte) => "unsigned char",
        _ when type == typeof(float) => "float",
        _ when type == typeof(double) => "double",
        { IsValueType: true } => string.Create(CultureInfo.InvariantCulture, $"sized<{Marshal.SizeOf(type)}>"),
        _ => throw new ArgumentException($"{type} has no form in C++."),
    };

    private static Dictionary<string, string> Pairs(string text) =>
        text.Split(", ").Select(pair => pair.Split(' ')).ToDictionary(pair => pair[0], pair => pair[1]);

    private static string Headers()
    {
        string? include = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(string.IsNullOrEmpty(include), $"{Variable} names no folder with NVIDIA's headers; ./build.sh headers obtains one");
        Assert.True(File.Exists(Path.Combine(include!, "cuda.h")), $"{include} has no cuda.h");
        return include!;
    }

    [GeneratedRegex(@"^API (?<name>cu\w+)\((?<parameters>(?:[^()]|\([^()]*\))*)\) \{", RegexOptions.Multiline)]
    private static partial Regex EntryPoint();

    [GeneratedRegex(@"static_assert\(sizeof\(\w+\) == (?<size>\d+), ""(?<name>\w+)""\)")]
    private static partial Regex StatedSize();

    [GeneratedRegex(@"^\s+k(?<name>\w+) = (?<value>\d+),", RegexOptions.Multiline)]
    private static partial Regex StatusValue();

    [GeneratedRegex("(?<=[a-z])([A-Z])")]
    private static partial Regex InnerCapital();

    // Collects assertions, leaves out what the headers do not know at all, and has the rest compiled.
    private sealed class Check(string subject, string include)
    {
        private static readonly string[] Read = ["cuda.h", "cudaProfiler.h", "cufft.h", "cufftXt.h", "library_types.h", "cublas_api.h", "cublasLt.h"];

        private readonly HashSet<string> words = [.. KnownFiles(include)
            .SelectMany(file => Regex.Matches(File.ReadAllText(file), @"\w+").Select(match => match.Value))];

        private readonly int version = int.Parse(
            Regex.Match(File.ReadAllText(Path.Combine(include, "cuda.h")), @"#define CUDA_VERSION (\d+)").Groups[1].Value, CultureInfo.InvariantCulture);

        private readonly StringBuilder declarations = new();
        private readonly StringBuilder assertions = new();
        private readonly int dnnVersion = DnnVersion(Path.Combine(include, "cudnn_version.h"));
        private readonly List<string> absent = [];
        private readonly List<string> missing = [];
        private int count;

        public void Declare(string line) => declarations.AppendLine(line);

        public void Function(string name, string result, string parameters)
        {
            if (Knows(name))
            {
                declarations.Append(result).Append(' ').Append(name).Append('(').Append(parameters).AppendLine(");");
                Assertion($"agree<decltype(&ours::{name}), decltype(&::{name})>::value", $"{name}({parameters})");
            }
        }

        public void Constant(string name, long value)
        {
            if (Knows(name))
            {
                Assertion(string.Create(CultureInfo.InvariantCulture, $"static_cast<long long>({name}) == {value}"),
                    string.Create(CultureInfo.InvariantCulture, $"{name} is not {value}"));
            }
        }

        public void Struct(string name, int size, (string Field, int Offset)[] fields)
        {
            if (!Knows(name))
            {
                return;
            }

            Assertion(string.Create(CultureInfo.InvariantCulture, $"sizeof({name}) == {size}"),
                string.Create(CultureInfo.InvariantCulture, $"{name} has not {size} bytes"));
            foreach ((string known, int offset) in fields)
            {
                string field = known.Split(">=")[0];
                if (field != known && version < int.Parse(known.Split(">=")[1], CultureInfo.InvariantCulture))
                {
                    absent.Add($"{name}.{field}");
                    continue;
                }

                Assertion(string.Create(CultureInfo.InvariantCulture, $"offsetof({name}, {field}) == {offset}"),
                    string.Create(CultureInfo.InvariantCulture, $"{name}: {field} is not at {offset}"));
            }
        }

        public void Run()
        {
            string folder = Directory.CreateDirectory(Repository.PathOf("artifacts/headers")).FullName;
            string source = Path.Combine(folder, $"{subject}.cpp");
            string sized = "template <int N> struct sized { unsigned char bytes[N]; };\n";
            File.WriteAllText(source, $"{Preamble}namespace ours {{\n{sized}{declarations}}}\n{assertions}");
            (int code, string output) = Compile(source);
            string[] wrong = [.. output.Split('\n').Where(line => line.Contains("error:", StringComparison.Ordinal))];
            Assert.True(missing.Count == 0, $"The headers in {include} have no {string.Join(", ", missing)}");
            Assert.True(code == 0, $"{wrong.Length} of {count} disagree with the headers in {include}:\n{string.Join('\n', wrong)}");
            File.WriteAllText(Path.Combine(folder, $"{subject}.txt"), string.Create(CultureInfo.InvariantCulture,
                $"{subject}: {count} assertions hold with headers of CUDA {version / 1000}.{version % 1000 / 10}{(dnnVersion > 0 ? $" and cuDNN {dnnVersion / 10000}.{dnnVersion / 100 % 100}" : "")}; not in these headers: {(absent.Count == 0 ? "nothing" : string.Join(", ", absent))}\n"));

            // A header that is hardly read would leave little to disagree with.
            Assert.True(count > 100, $"only {count} assertions could be made");
        }

        private static int DnnVersion(string path)
        {
            string text = File.Exists(path) ? File.ReadAllText(path) : "";
            int Part(string name) => Regex.Match(text, $@"#define CUDNN_{name} (\d+)") is { Success: true } match
                ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
            return (10000 * Part("MAJOR")) + (100 * Part("MINOR")) + Part("PATCHLEVEL");
        }

        private bool Knows(string name)
        {
            if (words.Contains(name))
            {
                return true;
            }

            bool ofDnn = name.StartsWith("cudnn", StringComparison.OrdinalIgnoreCase);
            if (ofDnn && dnnVersion == 0)
            {
                if (!absent.Contains("cuDNN"))
                {
                    absent.Add("cuDNN");
                }
            }
            else
            {
                bool allowed = (Since.TryGetValue(name, out int since) && (ofDnn ? dnnVersion : version) < since)
                    || (Until.TryGetValue(name, out int until) && version >= until);
                (allowed ? absent : missing).Add(name);
            }

            return false;
        }

        private void Assertion(string condition, string reason)
        {
            count++;
            assertions.Append("static_assert(").Append(condition).Append(", \"").Append(reason.ReplaceLineEndings(" ")).AppendLine("\");");
        }

        private (int Code, string Output) Compile(string source)
        {
            using Process process = Process.Start(new ProcessStartInfo("g++",
                ["-std=c++17", "-fsyntax-only", "-Wno-builtin-macro-redefined", "-fmax-errors=0", "-isystem", include, source])
            {
                RedirectStandardError = true,
            })!;
            string output = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output);
        }

        private static IEnumerable<string> KnownFiles(string include) =>
            Read.Select(file => Path.Combine(include, file)).Concat(Directory.EnumerateFiles(include, "cudnn*.h")).Where(File.Exists);
    }
}
