using System.Globalization;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Loading;

namespace Stig.Interop.Tests.Cuda;

/// <summary>
/// Oracle: the documented search order and the messages a user is meant to read, on a tree of empty files that stands for a machine. A
/// stand-in for the system's loader "loads" a file when it exists.
/// </summary>
public sealed class LoaderTests : IDisposable
{
    private static readonly string[] DnnFiles =
    [
        "libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_engines_runtime_compiled.so.9", "libcudnn_engines_precompiled.so.9",
        "libcudnn_heuristic.so.9", "libcudnn_cnn.so.9", "libcudnn_adv.so.9", "libcudnn.so.9",
    ];

    private readonly string root = Directory.CreateTempSubdirectory("stig-loader").FullName;
    private readonly Dictionary<string, string> variables = [];
    private readonly FakeLoader native = new();
    private int pythonCalls;

    public LoaderTests() => native.System["libcuda.so.1"] = "";

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Theory]
    [InlineData("libcublas.so.12", "libcufft.so.11", 12)]
    [InlineData("libcublas.so.13", "libcufft.so.12", 13)]
    public void Files_carry_the_numbers_of_their_cuda(string blas, string fft, int major)
    {
        Assert.Equal(blas, CudaLibraryNames.File(CudaLibrary.Blas, major, windows: false));
        Assert.Equal(fft, CudaLibraryNames.File(CudaLibrary.Fft, major, windows: false));
        Assert.Equal($"cufft64_{major - 1}.dll", CudaLibraryNames.File(CudaLibrary.Fft, major, windows: true));
        Assert.Equal($"cublasLt64_{major}.dll", CudaLibraryNames.File(CudaLibrary.BlasLt, major, windows: true));
        Assert.Equal("cudnn64_9.dll", CudaLibraryNames.File(CudaLibrary.Dnn, major, windows: true));
    }

    [Fact]
    public void Places_are_searched_in_the_documented_order()
    {
        // The same library in every place; after each load the place that won is removed.
        variables["STIG_CUDA_PATH"] = Full("own");
        variables["VIRTUAL_ENV"] = Full("venv");
        variables["CONDA_PREFIX"] = Full("conda");
        variables["CUDA_PATH"] = Full("toolkit");
        variables["CUDA_HOME"] = Full("home");
        string[] folders =
        [
            "own", "program", "program/cuda", "venv/lib/python3.11/site-packages/nvidia/cublas/lib",
            "conda/lib/python3.12/site-packages/nvidia/cublas/lib", "python/nvidia/cublas/lib", "conda/lib", "(system)",
            "toolkit/lib64", "home/lib64", "usr/local/cuda/lib64", "usr/local/cuda-12.6/lib64", "usr/local/cuda-12.4/lib64",
        ];
        foreach (string folder in folders)
        {
            if (folder == "(system)")
            {
                native.System["libcublasLt.so.12"] = "";
            }
            else
            {
                Put(folder, "libcublasLt.so.12");
            }
        }

        foreach (string folder in folders)
        {
            CudaLibraryLoader loader = Loader();
            _ = loader.Load(CudaLibrary.BlasLt);
            string path = loader.Find(CudaLibrary.BlasLt)!.Path;
            if (folder == "(system)")
            {
                Assert.Equal("/found/libcublasLt.so.12", path);
                native.System.Remove("libcublasLt.so.12");
            }
            else
            {
                Assert.Equal(Path.Combine(Full(folder), "libcublasLt.so.12"), path);
                File.Delete(path);
            }
        }
    }

    [Fact]
    public void Python_is_asked_once_and_only_when_needed()
    {
        variables["STIG_CUDA_PATH"] = Full("own");
        PutCuda("own", 12);
        native.DriverVersionValue = 12040;
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Blas);
        _ = loader.Load(CudaLibrary.Fft);
        Assert.Equal(0, pythonCalls);
        Assert.Throws<CudaUnavailableException>(() => loader.Load(CudaLibrary.Dnn));
        Assert.Throws<CudaUnavailableException>(() => loader.Load(CudaLibrary.Dnn));
        Assert.Equal(1, pythonCalls);
    }

    [Fact]
    public void The_newest_cuda_that_the_driver_runs_is_taken()
    {
        PutCuda("program", 12);
        PutCuda("program", 13);
        native.DriverVersionValue = 13000;
        Assert.Equal(13, LoadedMajor());
        native.DriverVersionValue = 12080;
        Assert.Equal(12, LoadedMajor());
    }

    [Fact]
    public void A_complete_set_comes_before_an_incomplete_one_and_an_earlier_place_before_a_later()
    {
        Put("program", "libcublas.so.13");
        PutCuda("usr/local/cuda-12.6/lib64", 12);
        Assert.Equal(12, LoadedMajor());

        // Now both are complete: the environment's 12 stands before the toolkit's 13.
        variables["VIRTUAL_ENV"] = Full("venv");
        PutCuda("venv/lib/python3.11/site-packages/nvidia/cublas/lib", 12);
        PutCuda("usr/local/cuda-13.0/lib64", 13);
        File.Delete(Path.Combine(Full("program"), "libcublas.so.13"));
        Assert.Equal(12, LoadedMajor());
    }

    [Fact]
    public void Libraries_of_two_majors_are_refused_with_both_named()
    {
        Put("program", "libcublas.so.13", "libcublasLt.so.13", "libcufft.so.11");
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Blas);
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => loader.Load(CudaLibrary.Fft));
        Assert.Contains("cuFFT of CUDA 13 was not found (libcufft.so.12)", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"{Full("program")}/libcufft.so.11 is of CUDA 12", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"{Full("program")}/libcublas.so.13 of CUDA 13", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_library_is_reported_with_everything_tried()
    {
        variables["STIG_CUDA_PATH"] = Full("nowhere");
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Fft));
        foreach (string expected in new[]
        {
            "cuFFT of CUDA", $"STIG_CUDA_PATH: {Full("nowhere")} is no folder", $"{Full("program")}/libcufft.so", "VIRTUAL_ENV: not set",
            "CONDA_PREFIX: not set", "CUDA_PATH: not set", ": no such library;", "pip",
        })
        {
            Assert.Contains(expected, failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_missing_driver_is_reported_first()
    {
        native.System.Clear();
        PutCuda("program", 12);
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Fft));
        Assert.Contains("The NVIDIA driver was not found (libcuda.so.1)", failure.Message, StringComparison.Ordinal);
        Assert.Contains("Install the driver", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_old_driver_is_refused_for_its_age_even_when_it_lacks_functions()
    {
        native.DriverVersionValue = 11040;
        native.Missing.Add("cuGraphInstantiateWithFlags");
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Driver));
        Assert.Contains("supports CUDA 11.4, but CUDA 12.0 is needed", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_function_is_named_with_its_library()
    {
        PutCuda("program", 12);
        native.Missing.Add("cufftSetWorkArea");
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Fft));
        Assert.Contains($"cuFFT ({Full("program")}/libcufft.so.11) lacks cufftSetWorkArea", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Cudnn_is_loaded_part_by_part_before_itself_and_after_cublas()
    {
        PutCuda("program", 12);
        PutDnn("program", "90600 12060");
        Put("program", "libnvrtc.so.12", "libnvrtc-builtins.so.12.6", "libnvJitLink.so.12");
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Dnn);
        string[] order = [.. native.Loads.Select(f => Path.GetFileName(f)!).Where(f => f != "libcuda.so.1")];
        string[] expected =
        [
            "libcublasLt.so.12", "libcublas.so.12", "libnvrtc-builtins.so.12.6", "libnvJitLink.so.12", "libnvrtc-builtins.so.12.6", "libnvrtc.so.12",
            .. DnnFiles,
        ];
        Assert.Equal(expected, order);
        Assert.Equal(Path.Combine(Full("program"), "libcudnn.so.9"), loader.Find(CudaLibrary.Dnn)!.Path);
    }

    [Fact]
    public void Cudnn_with_a_part_missing_is_never_called()
    {
        PutCuda("program", 12);
        PutDnn("program", "90600 12060");
        File.Delete(Path.Combine(Full("program"), "libcudnn_heuristic.so.9"));
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Dnn));
        Assert.Contains("libcudnn_heuristic.so.9", failure.Message, StringComparison.Ordinal);
        Assert.Contains("missing or cannot be loaded", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, native.VersionCalls);
        Assert.DoesNotContain(native.Loads, f => f.EndsWith("libcudnn.so.9", StringComparison.Ordinal));
    }

    [Fact]
    public void Cudnn_8_in_the_place_of_9_is_recognised()
    {
        PutCuda("program", 12);
        Put("program", "libcudnn.so.8");
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Dnn));
        Assert.Contains("cuDNN 8 was found", failure.Message, StringComparison.Ordinal);

        // The same under the name of the new one.
        PutDnn("program", "8907 12010");
        failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Dnn));
        Assert.Contains("is cuDNN 8.9.7, but cuDNN 9 is needed", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Cudnn_of_another_cuda_is_passed_over_or_refused_with_both_named()
    {
        PutCuda("program", 12);
        PutDnn("program", "90600 13000");
        CudaUnavailableException failure = Assert.Throws<CudaUnavailableException>(() => Loader().Load(CudaLibrary.Dnn));
        Assert.Contains("was built for CUDA 13, but cuBLAS", failure.Message, StringComparison.Ordinal);
        Assert.Contains("is of CUDA 12", failure.Message, StringComparison.Ordinal);
        Assert.Equal(native.Loads.Count(f => f.Contains("cudnn", StringComparison.Ordinal)), native.Freed.Count(f => f.Contains("cudnn", StringComparison.Ordinal)));

        PutDnn("usr/local/cuda-12.6/lib64", "90700 12060");
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Dnn);
        Assert.Equal(Path.Combine(Full("usr/local/cuda-12.6/lib64"), "libcudnn.so.9"), loader.Find(CudaLibrary.Dnn)!.Path);
    }

    [Fact]
    public void Cudnn_decides_between_two_complete_sets()
    {
        PutCuda("program", 12);
        PutCuda("program", 13);
        PutDnn("usr/local/cuda-12.6/lib64", "90700 12060");
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Fft);
        Assert.Equal(12, loader.Major);
        Assert.Equal(Path.Combine(Full("program"), "libcufft.so.11"), loader.Find(CudaLibrary.Fft)!.Path);
        _ = loader.Load(CudaLibrary.Dnn);
        Assert.Equal(Path.Combine(Full("program"), "libcublas.so.12"), loader.Find(CudaLibrary.Blas)!.Path);

        // Without any cuDNN the newer set serves what does not need it.
        Directory.Delete(Full("usr/local/cuda-12.6"), recursive: true);
        loader = Loader();
        _ = loader.Load(CudaLibrary.Fft);
        Assert.Equal(13, loader.Major);
    }

    [Theory]
    [InlineData(90600, "9.6.0")]
    [InlineData(92400, "9.24.0")]
    [InlineData(8907, "8.9.7")]
    public void Versions_of_cudnn_are_decoded(long value, string text) => Assert.Equal(text, Versions.OfDnn(value));

    [Fact]
    public void Versions_of_the_others_are_decoded()
    {
        Assert.Equal("12.4", Versions.OfCuda(12040));
        Assert.Equal("13.0", Versions.OfCuda(13000));
        Assert.Equal("11.3.3", Versions.OfFft(11303));
        Assert.Equal("12.6.4", Versions.OfBlas(120604));
    }

    private int LoadedMajor()
    {
        CudaLibraryLoader loader = Loader();
        _ = loader.Load(CudaLibrary.Blas);
        return loader.Major;
    }

    private CudaLibraryLoader Loader() => new(
        new CudaSearch
        {
            Variable = name => variables.GetValueOrDefault(name),
            Root = root,
            ProgramFolder = Full("program"),
            Windows = false,
            PythonSites = () =>
            {
                pythonCalls++;
                return [Full("python")];
            },
        },
        native);

    private string Full(string folder) => Path.Combine(root, folder);

    private void Put(string folder, params string[] files)
    {
        Directory.CreateDirectory(Full(folder));
        foreach (string file in files)
        {
            File.WriteAllText(Path.Combine(Full(folder), file), "");
        }
    }

    private void PutCuda(string folder, int major) => Put(folder, $"libcublasLt.so.{major}", $"libcublas.so.{major}", $"libcufft.so.{major - 1}");

    private void PutDnn(string folder, string versions)
    {
        Put(folder, DnnFiles);
        File.WriteAllText(Path.Combine(Full(folder), "libcudnn.so.9"), versions);
    }

    private sealed class FakeLoader : NativeLoader
    {
        private readonly List<string> contents = [];

        /// <summary>Bare names that the system's loader knows.</summary>
        internal Dictionary<string, string> System { get; } = [];

        internal HashSet<string> Missing { get; } = [];

        internal List<string> Loads { get; } = [];

        internal int DriverVersionValue { get; set; } = 13000;

        internal int VersionCalls { get; private set; }

        internal List<string> Freed { get; } = [];

        internal override nint Load(string file)
        {
            string content = Path.IsPathRooted(file)
                ? File.Exists(file) ? File.ReadAllText(file) : throw new DllNotFoundException($"{file}: no such file")
                : System.GetValueOrDefault(file) ?? throw new DllNotFoundException($"Advice.\n{file}: no such library\n");
            Loads.Add(file);
            contents.Add(content);
            return contents.Count;
        }

        internal override void Free(nint handle) => Freed.Add(Loads[(int)handle - 1]);

        internal override bool HasSymbol(nint handle, string symbol) => !Missing.Contains(symbol);

        internal override long CallVersion(nint handle, string symbol)
        {
            VersionCalls++;
            string[] parts = contents[(int)handle - 1].Split(' ');
            return long.Parse(parts[symbol == "cudnnGetVersion" ? 0 : 1], CultureInfo.InvariantCulture);
        }

        internal override int DriverVersion(nint handle) => DriverVersionValue;

        internal override string PathOf(string name) => "/found/" + name;
    }
}
